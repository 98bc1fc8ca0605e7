import {
  AutoglmError,
  type Engine,
  type GatewayRequest,
  type GeneratePart,
  type GenerateRequest,
  type StreamPart,
} from '@open-autoglm/protocol';
import { completeSampling } from './sampling.ts';

/**
 * One sequence for every choice of every prompt, their parts as they come. When one fails or the reader leaves, all
 * are aborted.
 */
export function generateChoices(engine: Engine, request: GatewayRequest): AsyncIterable<StreamPart> {
  return { [Symbol.asyncIterator]: () => new MergedChoices(engine, request) };
}

/** Choice i of a prompt is sampled with seed + i, so that it differs from its siblings and can be had again. */
function toChoices(request: GatewayRequest): GenerateRequest[] {
  const { id, maxTokens, stop, topLogprobs, grammar, contextStrategy, attention, choiceCount, tenant, standing } = request;
  const sampling = completeSampling(request.sampling);
  return (request.prompts ?? []).flatMap((prompt, promptIndex) =>
    Array.from({ length: choiceCount }, (_, choice) => ({
      id: `${id}/${promptIndex * choiceCount + choice}`,
      prompt,
      sampling: { ...sampling, seed: sampling.seed + choice },
      maxTokens,
      stop,
      topLogprobs,
      cacheScope: tenant,
      ...(grammar && { grammar }),
      ...(contextStrategy && { contextStrategy }),
      ...(attention && { attention }),
      ...(standing && { standing }),
    })),
  );
}

function emitFacts({ emit }: GatewayRequest, part: GeneratePart, choice: number): void {
  if (part.type === 'prompt-end') {
    emit({ type: 'segment-end', segment: 'queue', durationMs: part.queueMs, choice });
    emit({ type: 'segment-end', segment: 'prefill', durationMs: part.prefillMs, choice, delays: part.delays });
    emit({ type: 'prompt-end', choice, promptTokens: part.promptTokens, cachedTokens: part.cachedTokens });
  } else if (part.type === 'text-end') {
    emit({ type: 'segment-end', segment: 'decode', durationMs: part.decodeMs, choice, delays: part.delays });
    if (part.suspensions)
      emit({ type: 'segment-end', segment: 'queue', durationMs: part.suspensions.milliseconds, reason: 'preempted', choice });
    emit({ type: 'choice-end', choice, finishReason: part.finishReason, completionTokens: part.completionTokens });
  }
}

/** An engine of ours reads prompts; the client must be told of the field that it wrote. */
function inClientsWords(error: unknown, { input, choiceCount }: GatewayRequest, choice: number): unknown {
  if (!(error instanceof AutoglmError) || (error.code !== 'context_length_exceeded' && error.param !== 'prompt')) return error;
  const { code, message, cause, retryAfterSeconds } = error;
  const field = input.kind === 'chat' ? 'messages' : input.prompts.length === 1 ? 'prompt' : `prompt[${Math.floor(choice / choiceCount)}]`;
  return new AutoglmError(code, message, { param: field, retryAfterSeconds, cause });
}

/** How far a choice has come. */
interface Progress {
  promptEndAtMs: number | undefined;
  hasEnded: boolean;
}

interface Arrival {
  readonly index: number;
  readonly result: IteratorResult<GeneratePart>;
}

/**
 * Parts of several choices in order of arrival. A choice is asked for its next part when the one before is taken, so a
 * reader that stops reading stops them all, and at most one part of each waits here.
 */
class MergedChoices implements AsyncIterableIterator<StreamPart> {
  readonly #engine: Engine;
  readonly #request: GatewayRequest;
  readonly #startedAtMs = performance.now();
  readonly #abort = new AbortController();
  readonly #onAbort = () => this.#abort.abort(this.#request.signal.reason);
  readonly #choices: readonly AsyncIterator<GeneratePart>[];
  readonly #progress: readonly Progress[];
  readonly #arrivals: Arrival[] = [];
  #open: number;
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;
  #isReleased = false;

  constructor(engine: Engine, request: GatewayRequest) {
    this.#engine = engine;
    this.#request = request;
    request.signal.addEventListener('abort', this.#onAbort, { once: true });
    if (request.signal.aborted) this.#onAbort();
    this.#choices = toChoices(request).map((choice) => engine.generate(choice, this.#abort.signal)[Symbol.asyncIterator]());
    this.#progress = this.#choices.map(() => ({ promptEndAtMs: undefined, hasEnded: false }));
    this.#open = this.#choices.length;
    for (const index of this.#choices.keys()) this.#ask(index);
  }

  async next(): Promise<IteratorResult<StreamPart>> {
    for (;;) {
      const arrival = this.#arrivals.shift();
      if (arrival?.result.done) {
        this.#open -= 1;
      } else if (arrival) {
        this.#ask(arrival.index);
        return { value: this.#label(arrival.result.value, arrival.index), done: false };
      } else if (this.#failure) {
        this.#release();
        throw this.#failure.error;
      } else if (this.#open === 0) {
        return this.return();
      } else {
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    }
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    this.#release();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #ask(index: number): void {
    this.#choices[index]?.next().then(
      (result) => {
        this.#arrivals.push({ index, result });
        this.#wake?.();
      },
      (error: unknown) => {
        this.#failure ??= { error: inClientsWords(error, this.#request, index) };
        this.#wake?.();
      },
    );
  }

  #label(part: GeneratePart, index: number): StreamPart {
    const progress = this.#progress[index] as Progress;
    if (part.type === 'prompt-end') progress.promptEndAtMs = performance.now();
    else if (part.type === 'text-end') progress.hasEnded = true;
    emitFacts(this.#request, part, index);
    return { ...part, index };
  }

  /** Aborts what runs, and ends those that wait at a part which nobody took: an abort does not reach them. */
  #release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#emitCuts();
    this.#request.signal.removeEventListener('abort', this.#onAbort);
    // Choices that have all ended hold nothing, and an abort is not for free.
    if (this.#open === 0) return;
    this.#abort.abort(new Error('the reader left'));
    // A choice that fails while it ends has nobody left to tell.
    for (const choice of this.#choices) choice.return?.().catch(() => {});
  }

  /** Of a choice that is cut short the engine tells no times: they are what passed here. */
  #emitCuts(): void {
    const nowMs = performance.now();
    for (const [choice, { promptEndAtMs, hasEnded }] of this.#progress.entries()) {
      if (hasEnded) continue;
      const waits = (this.#engine.stats?.waiting ?? 0) > 0;
      const segment = promptEndAtMs !== undefined ? 'decode' : waits ? 'queue' : 'prefill';
      this.#request.emit({ type: 'segment-end', segment, durationMs: nowMs - (promptEndAtMs ?? this.#startedAtMs), reason: 'cut', choice });
    }
  }
}
