import { Redis, ReplyError } from 'ioredis';
import { answeredWithin } from '../../common/answered-within.ts';
import { beginTry, closedBreaker, learn, mayTry, type Breaker, type BreakerSettings } from '../../common/breaker.ts';
import { redisOptions } from '../../common/redis-options.ts';
import { watchRedis, type OnRedis } from '../../common/watch-redis.ts';

export interface RedisConnectionOptions {
  readonly url: string;
  /** A command that takes longer has failed. */
  readonly timeoutMs: number;
  /** Commands whose answer is waited for; more are not sent. */
  readonly maxPending: number;
  /** Milliseconds on any clock that does not go back. */
  readonly now: () => number;
  readonly onRedis?: OnRedis | undefined;
}

/** Silences in a row after which Redis is left alone, and for how long. */
const breakerSettings: BreakerSettings = { failuresMax: 5, openMsFirst: 1000, openMsMax: 10_000 };

/** What came of a command. */
export type RedisReply<T> = { readonly value: T } | 'failed' | 'skipped';

/**
 * Redis as a cache wants it: it is asked only while it answers, in time. A request pays for its silence a few times, and then only one
 * in every so many seconds does.
 */
export class RedisConnection {
  readonly #redis: Redis;
  readonly #options: RedisConnectionOptions;
  #breaker: Breaker = closedBreaker;
  #pending = 0;
  /** It is closing, which a Redis that is silent may draw out. */
  #isGivenUp = false;

  constructor(options: RedisConnectionOptions) {
    this.#options = options;
    this.#redis = new Redis(options.url, {
      // What cannot be asked now is computed instead.
      ...redisOptions(options.timeoutMs),
      autoResendUnfulfilledCommands: false,
      protocol: 2,
    });
    watchRedis(this.#redis, options.onRedis);
    this.#redis.on('close', () => (this.#isGivenUp = false));
  }

  /** Whether it would be asked now. */
  get isUp(): boolean {
    return this.#redis.status === 'ready' && mayTry(this.#breaker, this.#options.now());
  }

  /** Never rejects. `isLast`: it cannot be asked later, and is asked now though Redis was silent lately. */
  async ask<T>(command: (redis: Redis) => Promise<T>, isLast = false): Promise<RedisReply<T>> {
    if (!(isLast ? this.#redis.status === 'ready' : this.isUp) || this.#pending >= this.#options.maxPending) return 'skipped';
    this.#breaker = beginTry(this.#breaker, this.#options.now(), breakerSettings);
    this.#pending += 1;
    try {
      const value = await answeredWithin(command(this.#redis), this.#options.timeoutMs);
      this.#breaker = learn(this.#breaker, 'answered', this.#options.now(), breakerSettings);
      return { value };
    } catch (error) {
      // One that refuses, being full or a replica, answers all the same, and may have what is asked for next.
      if (error instanceof ReplyError) this.#breaker = learn(this.#breaker, 'answered', this.#options.now(), breakerSettings);
      else this.#learnFailure();
      return 'failed';
    } finally {
      this.#pending -= 1;
    }
  }

  close(): void {
    this.#redis.disconnect();
  }

  #learnFailure(): void {
    const before = this.#breaker;
    this.#breaker = learn(before, 'failed', this.#options.now(), breakerSettings);
    if (this.#breaker.state !== 'open' || before.state === 'open' || this.#isGivenUp) return;
    // Commands without an answer would pile up behind a connection that is dead and does not know it.
    this.#isGivenUp = true;
    this.#redis.disconnect(true);
  }
}
