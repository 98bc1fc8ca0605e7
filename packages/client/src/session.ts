import { ChatStream } from './chat-stream.ts';
import { ApiError } from './errors.ts';
import { diffJson } from './json-diff.ts';
import type { Transport } from './transport.ts';
import { TurnReader } from './turn-reader.ts';
import type { ChatBody, ChatCompletion, ChatCompletionChunk, ChatMessage } from './wire.ts';

/** A chat body, to be changed in place. */
export interface SessionBody {
  model: string;
  messages: ChatMessage[];
  [field: string]: unknown;
}

/** Fields of a chat body for one answer. */
export type SessionOptions = Omit<Partial<ChatBody>, 'messages' | 'stream'> & {
  /** Whether the answer becomes the next message, here and on the server; true when not given. */
  readonly append?: boolean;
  readonly signal?: AbortSignal;
};

export type SessionAnswer = ChatCompletion;

/** What the server says of the answer's turn. */
interface Appended {
  readonly appended: boolean;
  readonly etag?: string;
}

/** How often a session that others change, too, is brought in line before that is given up. */
const attemptsMax = 4;
const patchType = 'application/json-patch+json';

/**
 * A conversation that the server holds. Change `body` as you like, with ordinary assignments; with the next question, or by `sync`,
 * what has changed goes to the server as a patch from the state that it is known to be in. A patch that was lost, came late or met
 * another's is noticed there, and made anew from what the server has: what stands here wins. A session that has expired is made again
 * with all of its messages.
 */
export class Session {
  /** As the application wants it. */
  readonly body: SessionBody;
  readonly #transport: Transport;
  #id: string;
  #etag: string;
  /** As the server has it. */
  #synced: SessionBody;
  /** What is sent goes one after the other. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(transport: Transport, body: SessionBody, place: Place) {
    this.#transport = transport;
    this.body = body;
    this.#id = place.id;
    this.#etag = place.etag;
    this.#synced = structuredClone(body);
  }

  static async create(transport: Transport, body: ChatBody): Promise<Session> {
    const own = structuredClone(body) as unknown as SessionBody;
    return new Session(transport, own, await create(transport, own));
  }

  /** One that was made before, as the server has it. */
  static async open(transport: Transport, id: string): Promise<Session> {
    const { body, etag } = await read(transport, id);
    return new Session(transport, body, { id, etag });
  }

  /** Another one after a session that had expired was made again. */
  get id(): string {
    return this.#id;
  }

  get messages(): ChatMessage[] {
    return this.body.messages;
  }

  /** Brings the server's state in line with `body`; sends nothing where it is. */
  sync(signal?: AbortSignal): Promise<void> {
    return this.#exclusively(() => this.#sync(signal));
  }

  /** The next answer. */
  async complete(options: SessionOptions = {}): Promise<SessionAnswer> {
    const { value: answer, from } = await this.#ask({ ...options, stream: false }, options.signal);
    const value = answer as ChatCompletion;
    const choice = value.choices?.[0];
    if (options.append !== false && choice?.message) {
      const turn = new TurnReader();
      turn.add(choice.message);
      this.#take(turn, value.autoglm?.['session'] as Appended | undefined, from);
    }
    return value;
  }

  /** The next answer as it comes; it becomes a message when its end has been read. */
  async stream(options: SessionOptions = {}): Promise<ChatStream> {
    const abort = new AbortController();
    const signal = options.signal ? AbortSignal.any([options.signal, abort.signal]) : abort.signal;
    const { response, from } = await this.#ask({ ...options, stream: true }, signal);
    const turn = new TurnReader();
    const onChunk = ({ choices, autoglm }: ChatCompletionChunk) => {
      if (options.append === false) return;
      const choice = choices?.[0];
      if (choice?.delta) turn.add(choice.delta);
      if (autoglm) this.#take(turn, autoglm['session'] as Appended | undefined, from);
    };
    return new ChatStream(response, { abort, signal }, onChunk);
  }

  async delete(): Promise<void> {
    await this.#exclusively(async () => {
      await this.#transport.send({ method: 'DELETE', path: `/sessions/${this.#id}`, safety: 'repeatable' }).catch((error: unknown) => {
        // It has gone in another way, or an answer to this was lost.
        if (!isGone(error)) throw error;
      });
    });
  }

  async #ask(
    { append = true, signal: _own, stream, autoglm, ...fields }: SessionOptions & { readonly stream: boolean },
    signal: AbortSignal | undefined,
  ): Promise<{ readonly value: ChatCompletion | undefined; readonly response: Response; readonly from: string }> {
    return this.#exclusively(async () => {
      for (let attempt = 1; ; attempt += 1) {
        const wanted = structuredClone(this.body);
        const patch = diffJson(this.#synced, wanted);
        const body = {
          ...fields,
          stream,
          autoglm: { ...(autoglm as object | undefined), ...(append && { append }), ...(patch.length > 0 && { patch }) },
        };
        const call = {
          method: 'POST',
          path: `/sessions/${this.#id}/completions`,
          body,
          headers: { 'if-match': this.#etag },
          safety: 'repeatable',
          signal,
        } as const;
        try {
          const answer = stream
            ? { value: undefined, response: await this.#transport.send(call) }
            : await this.#transport.ask<ChatCompletion>(call);
          [this.#etag, this.#synced] = [etagOf(answer.response), wanted];
          return { ...answer, from: this.#etag };
        } catch (error) {
          if (attempt === attemptsMax || !(await this.#recover(error, signal))) throw error;
        }
      }
    });
  }

  async #sync(signal: AbortSignal | undefined): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      const wanted = structuredClone(this.body);
      const patch = diffJson(this.#synced, wanted);
      if (patch.length === 0) return;
      try {
        const response = await this.#transport.send({
          method: 'PATCH',
          path: `/sessions/${this.#id}`,
          body: patch,
          contentType: patchType,
          headers: { 'if-match': this.#etag },
          safety: 'repeatable',
          signal,
        });
        this.#etag = etagOf(response);
        this.#synced = wanted;
        return;
      } catch (error) {
        if (attempt === attemptsMax || !(await this.#recover(error, signal))) throw error;
      }
    }
  }

  /** Whether it is known again what the server has. */
  async #recover(error: unknown, signal: AbortSignal | undefined): Promise<boolean> {
    if (isGone(error)) {
      const wanted = structuredClone(this.body);
      const { id, etag } = await create(this.#transport, wanted, signal);
      [this.#id, this.#etag, this.#synced] = [id, etag, wanted];
      return true;
    }
    if (!(error instanceof ApiError) || error.status !== 412) return false;
    try {
      const { body, etag } = await read(this.#transport, this.#id, signal);
      [this.#etag, this.#synced] = [etag, body];
      return true;
    } catch (failed) {
      if (!isGone(failed)) throw failed;
      return this.#recover(failed, signal);
    }
  }

  /** The answer is a message here; and, where the server has taken it in as well, not one that it still has to be told. */
  #take(turn: TurnReader, session: Appended | undefined, from: string): void {
    const message = turn.message();
    if (!message) return;
    this.body.messages.push(message);
    if (!session?.appended || session.etag === undefined || this.#etag !== from) return;
    this.#synced = { ...this.#synced, messages: [...this.#synced.messages, structuredClone(message)] };
    this.#etag = session.etag;
  }

  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work, work);
    this.#last = result.catch(() => {});
    return result;
  }
}

interface Place {
  readonly id: string;
  readonly etag: string;
}

async function create(transport: Transport, body: SessionBody, signal?: AbortSignal): Promise<Place> {
  // One that is made twice, because the first answer was lost, expires by itself.
  const { value, response } = await transport.ask<{ readonly id: string }>({
    method: 'POST',
    path: '/sessions',
    body,
    safety: 'repeatable',
    signal,
  });
  return { id: value.id, etag: etagOf(response) };
}

async function read(
  transport: Transport,
  id: string,
  signal?: AbortSignal,
): Promise<{ readonly body: SessionBody; readonly etag: string }> {
  const { value, response } = await transport.ask<{ readonly body: SessionBody }>({
    method: 'GET',
    path: `/sessions/${encodeURIComponent(id)}`,
    safety: 'repeatable',
    signal,
  });
  return { body: value.body, etag: etagOf(response) };
}

function etagOf(response: Response): string {
  const etag = response.headers.get('etag');
  if (etag === null) throw new Error('The server has no sessions: its answer came without an ETag.');
  return etag;
}

function isGone(error: unknown): boolean {
  return error instanceof ApiError && error.code === 'session_not_found';
}
