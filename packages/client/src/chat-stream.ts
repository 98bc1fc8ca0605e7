import { ApiError, ConnectionError, readError } from './errors.ts';
import { loadMessagePack } from './message-pack.ts';
import { SseParser } from './sse.ts';
import { isMessagePack } from './transport.ts';
import type { ChatCompletionChunk } from './wire.ts';

const done = '[DONE]';
const endMsMax = 1000;

/** An answer as it comes: its chunks, once. Leaving the loop, or `abort`, ends the generation on the server too. */
export class ChatStream implements AsyncIterable<ChatCompletionChunk> {
  readonly #response: Response;
  readonly #abort: AbortController;
  readonly #signal: AbortSignal;
  readonly #onChunk: (chunk: ChatCompletionChunk) => void;

  /** `signal`: the one that the request was made with, which follows `abort`. `onChunk` sees each chunk before the loop does. */
  constructor(
    response: Response,
    { abort, signal }: { readonly abort: AbortController; readonly signal: AbortSignal },
    onChunk: (chunk: ChatCompletionChunk) => void = () => {},
  ) {
    this.#response = response;
    this.#abort = abort;
    this.#signal = signal;
    this.#onChunk = onChunk;
  }

  abort(reason?: unknown): void {
    this.#abort.abort(reason);
  }

  /**
   * Throws `ApiError` for an error in the stream, `ConnectionError` where it breaks off or is no stream of chunks, and the reason of an
   * abort.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<ChatCompletionChunk, void> {
    const body = this.#response.body?.getReader();
    const choices = new ChoicesSeen();
    let isDone = false;
    try {
      if (!body) throw new ConnectionError('The answer has no body.');
      for await (const value of this.#values(body)) {
        isDone = value === done;
        if (isDone) return;
        if (typeof value !== 'object' || value === null) throw noChunk();
        const chunk = value as ChatCompletionChunk & { readonly error?: unknown };
        if (chunk.error)
          throw new ApiError(this.#response.status, readError(chunk), {
            requestId: this.#response.headers.get('x-request-id') ?? undefined,
          });
        choices.add(chunk);
        this.#onChunk(chunk);
        yield chunk;
      }
      isDone = choices.areFinished;
      if (!isDone) throw choices.hasChunk ? new ConnectionError('The answer broke off.') : noChunk();
    } finally {
      if (isDone && body) this.#awaitEnd(body);
      else this.#abort.abort();
    }
  }

  async *#values(body: ReadableStreamDefaultReader<Uint8Array>): AsyncGenerator<unknown, void> {
    const read = isMessagePack(this.#response) ? (await loadMessagePack()).createReader() : createSseReader();
    for (;;) {
      const { done: isOver, value } = await body.read().catch((cause: unknown) => {
        this.#signal.throwIfAborted();
        throw new ConnectionError('The answer broke off.', { cause });
      });
      if (isOver) return;
      yield* readable(read, value as Uint8Array);
    }
  }

  /** The end of the body may come a moment after the last event. A connection that is cut before cannot be used for the next request. */
  #awaitEnd(body: ReadableStreamDefaultReader<Uint8Array>): void {
    const abort = () => this.#abort.abort();
    const timer = setTimeout(abort, endMsMax);
    body
      .read()
      .then(({ done: isOver }) => isOver || abort(), abort)
      .finally(() => clearTimeout(timer));
  }
}

/** Whether all choices that began have ended: some servers end a stream so, without `[DONE]`. */
class ChoicesSeen {
  readonly #begun = new Set<unknown>();
  readonly #finished = new Set<unknown>();
  hasChunk = false;

  get areFinished(): boolean {
    return this.#begun.size > 0 && this.#finished.size === this.#begun.size;
  }

  add({ choices }: ChatCompletionChunk): void {
    this.hasChunk = true;
    if (!Array.isArray(choices)) return;
    for (const choice of choices as ChatCompletionChunk['choices']) {
      this.#begun.add(choice?.index);
      if (choice?.finish_reason) this.#finished.add(choice.index);
    }
  }
}

function noChunk(cause?: unknown): ConnectionError {
  return new ConnectionError('What came is no chunk of an answer.', { cause });
}

function* readable(read: (piece: Uint8Array) => Iterable<unknown>, piece: Uint8Array): Generator<unknown, void> {
  try {
    yield* read(piece);
  } catch (cause) {
    throw noChunk(cause);
  }
}

/** An event is parsed when it is asked for: nothing that comes after `[DONE]` matters, nor takes what came before it along. */
function createSseReader(): (piece: Uint8Array) => Iterable<unknown> {
  const decoder = new TextDecoder();
  const parser = new SseParser();
  return function* read(piece) {
    for (const { data } of parser.push(decoder.decode(piece, { stream: true }))) yield data === done ? done : (JSON.parse(data) as unknown);
  };
}
