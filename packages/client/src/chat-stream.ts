import { ApiError, ConnectionError } from './errors.ts';
import { loadMessagePack } from './message-pack.ts';
import { SseParser } from './sse.ts';
import { isMessagePack } from './transport.ts';
import type { ChatCompletionChunk } from './wire.ts';

const done = '[DONE]';

/** An answer as it comes: its chunks, once. Leaving the loop, or `abort`, ends the generation on the server too. */
export class ChatStream implements AsyncIterable<ChatCompletionChunk> {
  readonly #response: Response;
  readonly #abort: AbortController;
  readonly #signal: AbortSignal;
  readonly #onChunk: (chunk: ChatCompletionChunk) => void;

  /** `signal`: the one that the request was made with, which follows `abort`. `onChunk` sees each chunk before the loop does. */
  constructor(response: Response, { abort, signal }: { readonly abort: AbortController; readonly signal: AbortSignal }, onChunk: (chunk: ChatCompletionChunk) => void = () => {}) {
    this.#response = response;
    this.#abort = abort;
    this.#signal = signal;
    this.#onChunk = onChunk;
  }

  abort(reason?: unknown): void {
    this.#abort.abort(reason);
  }

  /** Throws `ApiError` for an error in the stream, `ConnectionError` where it breaks off, and the reason of an abort. */
  async *[Symbol.asyncIterator](): AsyncGenerator<ChatCompletionChunk, void> {
    try {
      for await (const value of this.#values()) {
        if (value === done) return;
        const chunk = value as ChatCompletionChunk & { readonly error?: object };
        if (chunk.error) throw new ApiError(this.#response.status, chunk.error, { requestId: this.#response.headers.get('x-request-id') ?? undefined });
        this.#onChunk(chunk);
        yield chunk;
      }
      throw new ConnectionError('The answer broke off.');
    } finally {
      this.#abort.abort();
    }
  }

  async *#values(): AsyncGenerator<unknown, void> {
    const read = isMessagePack(this.#response) ? (await loadMessagePack()).createReader() : createSseReader();
    const body = this.#response.body?.getReader();
    if (!body) throw new ConnectionError('The answer has no body.');
    for (;;) {
      const { done: isOver, value } = await body.read().catch((cause: unknown) => {
        this.#signal.throwIfAborted();
        throw new ConnectionError('The answer broke off.', { cause });
      });
      if (isOver) return;
      yield* read(value as Uint8Array);
    }
  }
}

function createSseReader(): (piece: Uint8Array) => unknown[] {
  const decoder = new TextDecoder();
  const parser = new SseParser();
  return (piece) => parser.push(decoder.decode(piece, { stream: true })).map(({ data }) => (data === done ? done : (JSON.parse(data) as unknown)));
}
