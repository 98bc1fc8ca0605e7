import { hash } from 'node:crypto';
import { AutoglmError } from '@open-autoglm/protocol';
import { noCounts, type CacheLevel, type LevelCounts } from './level.ts';
import type { RedisConnection, RedisReply } from './redis-connection.ts';
import { announce } from './revocations.ts';

/** How values are written down. */
export interface Codec<V> {
  encode(value: V): string;
  /** Undefined for what cannot be a value. May throw. */
  decode(text: string): V | undefined;
}

export interface RedisLevelOptions<V> {
  readonly connection: RedisConnection;
  /** Of the keys there, with the version of what is kept. */
  readonly prefix: string;
  readonly codec: Codec<V>;
  /** Values that wait to be written; more are not. */
  readonly maxWrites: number;
  /** Revocations that Redis did not confirm are tried again so often. */
  readonly retryMs: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

interface Write<V> {
  readonly value: V;
  readonly untilMs: number;
}

/** Writes under way at one time. */
const writesAtOnce = 4;
/** SHA-256 in base64url. */
const checksumLength = 43;
/** Revocations that wait for Redis; of more, the oldest is given up: its value ends with its time. */
const revocationsMax = 4096;

/**
 * Values that all gateways with the same Redis share, written beside the requests. Each is written with a checksum of its key and itself:
 * a value that was damaged, or stands under another key, is refused, removed and counted.
 *
 * A revocation that Redis does not confirm is kept, and tried again until it does or this process ends. Meanwhile the value is neither read
 * nor written here.
 */
export class RedisLevel<V> implements CacheLevel<V> {
  readonly name = 'redis';
  readonly counts: LevelCounts = noCounts();
  readonly #options: RedisLevelOptions<V>;
  readonly #waiting = new Map<string, Write<V>>();
  readonly #writing = new Map<string, Promise<void>>();
  readonly #revocations = new Set<string>();
  #retry: NodeJS.Timeout | undefined;
  #isScheduled = false;

  constructor(options: RedisLevelOptions<V>) {
    this.#options = options;
  }

  /** Values that are not written yet. */
  get waiting(): number {
    return this.#waiting.size + this.#writing.size;
  }

  /** Revocations that Redis has not confirmed. */
  get waitingRevocations(): number {
    return this.#revocations.size;
  }

  async get(key: string): Promise<V | undefined> {
    const found = await this.#find(key);
    return typeof found === 'string' ? undefined : found.value;
  }

  /** Of what waits to be revoked, the revocation is tried again now. */
  async require(key: string): Promise<V | undefined> {
    if (this.#revocations.has(key)) await this.delete(key);
    const found = await this.#find(key);
    if (typeof found === 'string')
      throw new AutoglmError(
        'cache_unavailable',
        'Redis does not answer, so it cannot be told whether there is such an answer. Ask again.',
        { retryAfterSeconds: 1 },
      );
    return found.value;
  }

  async #find(key: string): Promise<RedisReply<V | undefined>> {
    const { connection, prefix } = this.#options;
    const reply = this.#revocations.has(key) ? 'skipped' : await connection.ask((redis) => redis.get(prefix + key));
    if (typeof reply === 'string') {
      this.counts[reply] += 1;
      return reply;
    }
    if (reply.value === null) {
      this.counts.misses += 1;
      return { value: undefined };
    }
    const value = this.#read(key, reply.value);
    if (value === undefined) {
      this.counts.poisoned += 1;
      void connection.ask((redis) => redis.del(prefix + key));
      return { value };
    }
    this.counts.hits += 1;
    return { value };
  }

  set(key: string, value: V, untilMs: number): void {
    if (
      this.#revocations.has(key) ||
      !this.#options.connection.isUp ||
      (this.#waiting.size >= this.#options.maxWrites && !this.#waiting.has(key))
    ) {
      this.counts.skipped += 1;
      return;
    }
    this.#waiting.set(key, { value, untilMs });
    this.#schedule();
  }

  /** Where Redis does not confirm it, it is tried again; who must be certain asks again. */
  async delete(key: string): Promise<boolean> {
    this.#keepRevocation(key);
    await this.#stopWriting(key);
    const reply = await this.#revoke(key);
    if (typeof reply !== 'string') return reply.value;
    this.#scheduleRetry();
    throw new AutoglmError(
      'cache_unavailable',
      'The answer is gone from this gateway, but Redis does not answer, and others may still give it. Ask again.',
      { retryAfterSeconds: 1 },
    );
  }

  /** Another gateway revoked it: what is on its way there must not bring it back. */
  drop(key: string): void {
    const isWriting = this.#writing.has(key);
    if (isWriting) this.#keepRevocation(key);
    void this.#stopWriting(key).then(async () => {
      if (isWriting && typeof (await this.#revoke(key)) === 'string') this.#scheduleRetry();
    });
  }

  /** Revocations that wait are tried once more, all at once: it takes no longer than one command may. */
  async close(): Promise<void> {
    clearTimeout(this.#retry);
    await Promise.all(Array.from(this.#revocations, (key) => this.#revoke(key, true)));
    this.#revocations.clear();
  }

  #keepRevocation(key: string): void {
    this.#revocations.add(key);
    if (this.#revocations.size > revocationsMax) this.#revocations.delete(this.#revocations.keys().next().value as string);
  }

  async #revoke(key: string, isLast = false): Promise<RedisReply<boolean>> {
    const id = this.#options.prefix + key;
    const reply = await this.#options.connection.ask((redis) => announce(redis, id), isLast);
    if (typeof reply === 'string') this.counts[reply] += 1;
    else this.#revocations.delete(key);
    return reply;
  }

  #scheduleRetry(): void {
    this.#retry ??= setTimeout(() => void this.#revokeAgain(), this.#options.retryMs).unref();
  }

  async #revokeAgain(): Promise<void> {
    for (const key of this.#revocations) if (typeof (await this.#revoke(key)) === 'string') break;
    this.#retry = undefined;
    if (this.#revocations.size > 0) this.#scheduleRetry();
  }

  async #stopWriting(key: string): Promise<void> {
    this.#waiting.delete(key);
    await this.#writing.get(key);
  }

  /** Not within the request that the value came from. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#writeSome();
    });
  }

  #writeSome(): void {
    for (const [key, write] of this.#waiting) {
      if (this.#writing.size >= writesAtOnce) return;
      if (this.#writing.has(key)) continue;
      this.#waiting.delete(key);
      const writing = this.#write(key, write).finally(() => {
        this.#writing.delete(key);
        if (this.#waiting.size > 0) this.#schedule();
      });
      this.#writing.set(key, writing);
    }
  }

  async #write(key: string, { value, untilMs }: Write<V>): Promise<void> {
    const { connection, prefix, codec, now } = this.#options;
    const text = codec.encode(value);
    const leftMs = Math.floor(untilMs - now());
    if (leftMs <= 0) return;
    const reply = await connection.ask((redis) => redis.set(prefix + key, this.#checksum(key, text) + text, 'PX', leftMs));
    if (typeof reply === 'string') this.counts[reply] += 1;
    else this.counts.kept += 1;
  }

  #read(key: string, written: string): V | undefined {
    const text = written.slice(checksumLength);
    if (written.slice(0, checksumLength) !== this.#checksum(key, text)) return undefined;
    try {
      return this.#options.codec.decode(text);
    } catch {
      return undefined;
    }
  }

  #checksum(key: string, text: string): string {
    return hash('sha256', `${this.#options.prefix}${key}\n${text}`, 'base64url');
  }
}
