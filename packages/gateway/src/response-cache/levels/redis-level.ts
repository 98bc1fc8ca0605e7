import { hash } from 'node:crypto';
import { AutoglmError } from '@open-autoglm/protocol';
import { noCounts, type CacheLevel, type LevelCounts } from './level.ts';
import type { RedisConnection } from './redis-connection.ts';
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

/**
 * Values that all gateways with the same Redis share, written beside the requests. Each is written with a checksum of its key and itself:
 * a value that was damaged, or stands under another key, is refused, removed and counted.
 */
export class RedisLevel<V> implements CacheLevel<V> {
  readonly name = 'redis';
  readonly counts: LevelCounts = noCounts();
  readonly #options: RedisLevelOptions<V>;
  readonly #waiting = new Map<string, Write<V>>();
  readonly #writing = new Map<string, Promise<void>>();
  #isScheduled = false;

  constructor(options: RedisLevelOptions<V>) {
    this.#options = options;
  }

  /** Values that are not written yet. */
  get waiting(): number {
    return this.#waiting.size + this.#writing.size;
  }

  async get(key: string): Promise<V | undefined> {
    const { connection, prefix } = this.#options;
    const reply = await connection.ask((redis) => redis.get(prefix + key));
    if (typeof reply === 'string') {
      this.counts[reply] += 1;
      return undefined;
    }
    if (reply.value === null) {
      this.counts.misses += 1;
      return undefined;
    }
    const value = this.#read(key, reply.value);
    if (value === undefined) {
      this.counts.poisoned += 1;
      void connection.ask((redis) => redis.del(prefix + key));
      return undefined;
    }
    this.counts.hits += 1;
    return value;
  }

  set(key: string, value: V, untilMs: number): void {
    if (!this.#options.connection.isUp || (this.#waiting.size >= this.#options.maxWrites && !this.#waiting.has(key))) {
      this.counts.skipped += 1;
      return;
    }
    this.#waiting.set(key, { value, untilMs });
    this.#schedule();
  }

  async delete(key: string): Promise<boolean> {
    await this.#stopWriting(key);
    const id = this.#options.prefix + key;
    const reply = await this.#options.connection.ask((redis) => announce(redis, id));
    if (typeof reply !== 'string') return reply.value;
    this.counts[reply] += 1;
    throw new AutoglmError('cache_unavailable', 'The answer is gone from this gateway, but Redis does not answer: others may still give it. Ask again.', { retryAfterSeconds: 1 });
  }

  /** Another gateway revoked it: what is on its way there must not bring it back. */
  drop(key: string): void {
    const isWriting = this.#writing.has(key);
    void this.#stopWriting(key).then(async () => {
      if (isWriting) await this.#options.connection.ask((redis) => redis.del(this.#options.prefix + key));
    });
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
