import type { Engine, GatewayRequest, GeneratePart, GenerateRequest, StreamPart } from '@open-autoglm/protocol';

/**
 * One sequence for every choice of every prompt, their parts as they come. When one fails or the reader leaves, all
 * are aborted.
 */
export async function* generateChoices(engine: Engine, request: GatewayRequest): AsyncGenerator<StreamPart> {
  const abort = new AbortController();
  const onAbort = () => abort.abort(request.signal.reason);
  request.signal.addEventListener('abort', onAbort, { once: true });
  if (request.signal.aborted) onAbort();
  const choices = toChoices(request);
  const merged = new MergedParts(choices.length);
  for (const [index, choice] of choices.entries()) void drainChoice(engine, choice, index, request, abort.signal, merged);
  try {
    yield* merged;
  } finally {
    request.signal.removeEventListener('abort', onAbort);
    abort.abort(new Error('the reader left'));
  }
}

/** Choice i of a prompt is sampled with seed + i, so that it differs from its siblings and can be had again. */
function toChoices(request: GatewayRequest): GenerateRequest[] {
  const { id, sampling, maxTokens, stop, topLogprobs, choiceCount } = request;
  return (request.prompts ?? []).flatMap((prompt, promptIndex) =>
    Array.from({ length: choiceCount }, (_, choice) => ({
      id: `${id}/${promptIndex * choiceCount + choice}`,
      prompt,
      sampling: { ...sampling, seed: sampling.seed + choice },
      maxTokens,
      stop,
      topLogprobs,
    })),
  );
}

async function drainChoice(engine: Engine, choice: GenerateRequest, index: number, request: GatewayRequest, signal: AbortSignal, merged: MergedParts): Promise<void> {
  try {
    for await (const part of engine.generate(choice, signal)) {
      emitSegments(request, part);
      merged.push({ ...part, index });
    }
    merged.endOne();
  } catch (error) {
    merged.fail(error);
  }
}

function emitSegments({ emit }: GatewayRequest, part: GeneratePart): void {
  if (part.type === 'prompt-end') {
    emit({ type: 'segment-end', segment: 'queue', durationMs: part.queueMs });
    emit({ type: 'segment-end', segment: 'prefill', durationMs: part.prefillMs });
  } else if (part.type === 'text-end') {
    emit({ type: 'segment-end', segment: 'decode', durationMs: part.decodeMs });
  }
}

/** Parts of several choices in order of arrival. What is not read yet is bounded by what the choices' contexts hold. */
class MergedParts implements AsyncIterableIterator<StreamPart> {
  #parts: StreamPart[] = [];
  #open: number;
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(choices: number) {
    this.#open = choices;
  }

  push(part: StreamPart): void {
    this.#parts.push(part);
    this.#wake?.();
  }

  endOne(): void {
    this.#open -= 1;
    this.#wake?.();
  }

  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wake?.();
  }

  async next(): Promise<IteratorResult<StreamPart>> {
    for (;;) {
      const value = this.#parts.shift();
      if (value) return { value, done: false };
      if (this.#failure) throw this.#failure.error;
      if (this.#open === 0) return { value: undefined, done: true };
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = undefined;
    }
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
