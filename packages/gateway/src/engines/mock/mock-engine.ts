import {
  AutoglmError,
  type AttentionMap,
  type Engine,
  type EngineStatus,
  type GeneratePart,
  type GenerateRequest,
  type ModelInfo,
} from '@open-autoglm/protocol';

/** What the mock answers. */
export interface MockScript {
  readonly model?: Partial<ModelInfo>;
  /** One text for each token; repeated for a request that asks for more than once through. */
  readonly tokens?: readonly string[];
  /** Waited for before each token: `0` is the one that ends the prompt. Throw to fail there. */
  readonly beforeToken?: (index: number, request: GenerateRequest, signal: AbortSignal) => Promise<void> | void;
  /** What every answer attended to; requests that ask for it are refused when not given. */
  readonly attention?: AttentionMap;
  /** Resolves when the model is ready; at once when not given. */
  readonly loaded?: Promise<void>;
}

/** An engine without a model, for tests of everything above the port and for trying clients. */
export interface MockEngine extends Engine {
  /** Requests as they came, the last 1000. */
  readonly requests: readonly GenerateRequest[];
  /** Sequences that hold a place at this moment. */
  readonly runningCount: number;
}

/** It may run for as long as any other engine. */
const requestsKept = 1000;
const defaultTokens = ['你', '好', '，', '世', '界', '！'];

export function createMockEngine(script: MockScript = {}): MockEngine {
  const requests: GenerateRequest[] = [];
  const model = mockModel(script.model);
  const closed = new AbortController();
  let running = 0;
  let status: EngineStatus = { state: 'starting', detail: 'The mock is loading.' };
  const loaded = (script.loaded ?? Promise.resolve()).then(() => {
    if (status.state === 'starting') status = { state: 'ready', detail: 'The mock is ready.' };
    return model;
  });
  loaded.catch((error: Error) => (status = { state: 'failed', detail: error.message }));
  const whileOpen = <T>(work: Promise<T>, signal?: AbortSignal) => unlessAborted(work, signal ? [signal, closed.signal] : [closed.signal]);

  return {
    name: 'mock',
    requests,
    get status() {
      return status;
    },
    get runningCount() {
      return running;
    },
    ready: (signal) => whileOpen(loaded, signal),
    async *generate(request, signal) {
      if (status.state !== 'ready') throw new AutoglmError('engine_unavailable', status.detail);
      if (request.attention && !script.attention)
        throw new AutoglmError('unsupported_feature', 'The mock attends to nothing.', { param: 'autoglm.attention' });
      requests.push(request);
      if (requests.length > requestsKept) requests.shift();
      running += 1;
      const ends = new FirstAbort([signal, closed.signal]);
      try {
        yield* answer(request, script, ends, signal);
      } finally {
        running -= 1;
        ends.release();
      }
    },
    async tokenize(prompt, signal) {
      signal?.throwIfAborted();
      return 'tokens' in prompt
        ? [...prompt.tokens]
        : Array.from(prompt.segments.map(({ text }) => text).join(''), (character) => character.codePointAt(0) as number);
    },
    async countTokens(segments, signal) {
      signal?.throwIfAborted();
      return segments.map(({ text }) => Array.from(text).length);
    },
    async close() {
      status = { state: 'closed', detail: 'The mock is closed.' };
      closed.abort(new AutoglmError('engine_unavailable', 'The engine was closed.'));
    },
  };
}

async function* answer(request: GenerateRequest, script: MockScript, ends: FirstAbort, signal: AbortSignal): AsyncGenerator<GeneratePart> {
  const tokens = script.tokens ?? defaultTokens;
  const attention = request.attention && script.attention ? { attention: script.attention } : {};
  const limit = Math.min(request.maxTokens ?? tokens.length, tokens.length);
  const step = async (index: number) => {
    ends.throwIfAborted();
    const waits = script.beforeToken?.(index, request, signal);
    if (waits) await Promise.race([waits, ends.rejected]);
  };
  await step(0);
  const promptTokens =
    'tokens' in request.prompt ? request.prompt.tokens.length : request.prompt.segments.reduce((sum, { text }) => sum + text.length, 0);
  yield { type: 'prompt-end', promptTokens, cachedTokens: 0, queueMs: 0, prefillMs: 0 };
  let said = '';
  for (let index = 0; index < limit; index += 1) {
    if (index > 0) await step(index);
    const text = tokens[index] as string;
    said += text;
    const cut = Math.min(...request.stop.map((stop) => said.indexOf(stop)).filter((start) => start !== -1));
    const kept = cut === Infinity ? text : text.slice(0, Math.max(0, cut - (said.length - text.length)));
    const logprobs = request.topLogprobs === undefined ? undefined : [mockLogprob(text, request.topLogprobs)];
    yield { type: 'text-delta', text: kept, tokenCount: 1, ...(logprobs && { logprobs }) };
    if (cut !== Infinity) {
      yield { type: 'text-end', finishReason: 'stop', completionTokens: index + 1, decodeMs: 0, ...attention };
      return;
    }
  }
  yield { type: 'text-end', finishReason: limit < tokens.length ? 'length' : 'stop', completionTokens: limit, decodeMs: 0, ...attention };
}

function mockLogprob(token: string, topCount: number) {
  const entry = { token, bytes: [...new TextEncoder().encode(token)], logprob: -0.5 };
  return { ...entry, top: topCount > 0 ? [entry] : [] };
}

async function unlessAborted<T>(work: Promise<T>, signals: readonly AbortSignal[]): Promise<T> {
  const ends = new FirstAbort(signals);
  try {
    ends.throwIfAborted();
    return await Promise.race([work, ends.rejected]);
  } finally {
    ends.release();
  }
}

/** The first of several signals, until it is released. `AbortSignal.any` costs ten times as much, and answers are to cost nothing here. */
class FirstAbort {
  /** Rejects with the reason. */
  readonly rejected: Promise<never>;
  readonly #signals: readonly AbortSignal[];
  readonly #onAbort: () => void;

  constructor(signals: readonly AbortSignal[]) {
    const { promise, reject } = Promise.withResolvers<never>();
    // It may be that nobody waits for it.
    promise.catch(() => {});
    this.rejected = promise;
    this.#signals = signals;
    this.#onAbort = () => reject(this.#signals.find(({ aborted }) => aborted)?.reason);
    for (const signal of signals) signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  throwIfAborted(): void {
    for (const signal of this.#signals) signal.throwIfAborted();
  }

  release(): void {
    for (const signal of this.#signals) signal.removeEventListener('abort', this.#onAbort);
  }
}

function mockModel(changes: Partial<ModelInfo> = {}): ModelInfo {
  return {
    id: 'default',
    source: 'mock',
    architecture: 'mock',
    weightType: 'none',
    weightBytes: 0,
    weightsFingerprint: 'mock',
    parameterCount: 0,
    vocabularySize: 1000,
    contextLength: 4096,
    chatTemplate:
      "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant{{ '\n' }}",
    bosToken: undefined,
    eosToken: '<|im_end|>',
    controlTokens: ['<|im_start|>', '<|im_end|>'],
    ...changes,
  };
}
