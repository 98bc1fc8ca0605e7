import { hash } from 'node:crypto';
import type { GatewayRequest } from '@open-autoglm/protocol';

/** Requests that are under way, by what they ask. As many as are in hand at once, which the ingress bounds. */
export class InFlight {
  readonly #counts = new Map<string, number>();

  get size(): number {
    return this.#counts.size;
  }

  has(key: string): boolean {
    return this.#counts.has(key);
  }

  /** Returns what ends it, which may be called more than once. */
  enter(key: string): () => void {
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
    let isOpen = true;
    return () => {
      if (!isOpen) return;
      isOpen = false;
      const left = (this.#counts.get(key) as number) - 1;
      if (left > 0) this.#counts.set(key, left);
      else this.#counts.delete(key);
    };
  }
}

/** Equal for requests of one tenant that ask the same, whether or not they want it as a stream. */
export function keyOf({
  tenant,
  model,
  input,
  choiceCount,
  sampling,
  maxTokens,
  stop,
  topLogprobs,
  responseFormat,
  tools,
  toolChoice,
  parallelToolCalls,
  contextStrategy,
  attention,
  fit,
  compression,
  documents,
  body,
}: GatewayRequest): string {
  const asked = body
    ? { ...body.fields, stream: undefined, stream_options: undefined }
    : { choiceCount, sampling, maxTokens, stop, topLogprobs, responseFormat, tools, toolChoice, parallelToolCalls };
  // What our extensions ask is not among the body's fields. When and in which lane it is answered makes it no other question.
  const extensions = { contextStrategy, attention, fit, compression, documents };
  return hash('sha256', JSON.stringify([tenant, model, input.kind, input === body?.read.input ? undefined : input, asked, extensions]));
}
