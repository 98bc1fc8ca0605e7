import { Redis } from 'ioredis';

/** A stream in Redis: who was away for a while reads on where it was. */
const stream = 'autoglm:cache:revoked';
/** Who was away for more of them than these may give an answer until its time is over. */
const keptMax = 100_000;
const blockMs = 5000;
const batchMax = 1000;
/** A connection on which nothing came for so long is dead: an empty answer comes every `blockMs`. */
const silenceMsMax = 3 * blockMs;
const retryMs = 500;

/**
 * Deletes a value, and tells every gateway in the same step. Whether it was there. Throws when either failed: one alone is no revocation.
 */
export async function announce(redis: Redis, id: string): Promise<boolean> {
  const replies = await redis.multi().del(id).xadd(stream, 'MAXLEN', '~', keptMax, '*', 'id', id).exec();
  if (!replies) throw new Error('the transaction was not carried out');
  for (const [failure] of replies) if (failure) throw failure;
  return replies[0]?.[1] === 1;
}

/** Hears what is revoked anywhere, until it is closed. */
export class Revocations {
  readonly #redis: Redis;
  readonly #onRevoked: (id: string) => void;
  /** Of the last one heard; undefined until the stream was reached for the first time. */
  #lastId: string | undefined;
  #isClosed = false;
  #wake: (() => void) | undefined;

  constructor(url: string, onRevoked: (id: string) => void) {
    this.#onRevoked = onRevoked;
    this.#redis = new Redis(url, {
      connectTimeout: 2000,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      socketTimeout: silenceMsMax,
      retryStrategy: (attempt) => Math.min(2000, attempt * 100),
      protocol: 2,
    });
    this.#redis.on('error', () => {});
    this.#redis.on('ready', () => this.#wake?.());
    void this.#listen();
  }

  /** Whether what is revoked elsewhere from now on is heard. */
  get isListening(): boolean {
    return this.#lastId !== undefined && this.#redis.status === 'ready';
  }

  close(): void {
    this.#isClosed = true;
    this.#redis.disconnect();
    this.#wake?.();
  }

  async #listen(): Promise<void> {
    while (!this.#isClosed) {
      try {
        this.#lastId ??= await this.#newest();
        await this.#read(this.#lastId);
      } catch {
        await this.#pause();
      }
    }
  }

  async #newest(): Promise<string> {
    const [newest] = await this.#redis.xrevrange(stream, '+', '-', 'COUNT', 1);
    return newest?.[0] ?? '0-0';
  }

  async #read(after: string): Promise<void> {
    const replies = await this.#redis.xread('COUNT', batchMax, 'BLOCK', blockMs, 'STREAMS', stream, after);
    const entries = (replies?.[0]?.[1] ?? []) as unknown as readonly (readonly [string, readonly string[]])[];
    for (const [id, [, revoked]] of entries) {
      this.#lastId = id;
      if (revoked !== undefined) this.#onRevoked(revoked);
    }
  }

  /** Until the connection is there again, or a while has passed. */
  async #pause(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, retryMs);
    this.#wake = resolve;
    await promise;
    clearTimeout(timer);
    this.#wake = undefined;
  }
}
