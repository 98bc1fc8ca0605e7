import { Redis } from 'ioredis';
import { answeredWithin } from '../../common/answered-within.ts';
import { redisOptions } from '../../common/redis-options.ts';
import { watchRedis, type OnRedis } from '../../common/watch-redis.ts';
import type { Claim, Decision, LimitStore } from './limit-store.ts';

export interface RedisStoreOptions {
  readonly url: string;
  /** A command that takes longer has failed. */
  readonly timeoutMs: number;
  /** Decides while Redis does not answer. */
  readonly fallback: LimitStore;
  /** After a failure Redis is left alone for so long: a request pays for its silence once, not every one. */
  readonly pauseMs: number;
  /** Milliseconds. */
  readonly now: () => number;
  readonly onRedis?: OnRedis;
}

/**
 * All buckets of a request in one step and one round trip, by Redis' own clock, so that gateways whose clocks differ agree. A bucket is
 * "what is in it:when, in µs", and is forgotten when it has drained. ARGV: share, whether to put in whatever is there, then of each bucket
 * its capacity, milliseconds to drain, and cost.
 */
const script = `
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local share, force = tonumber(ARGV[1]), ARGV[2] == '1'
local used, charge, wait = {}, {}, 0
for i = 1, #KEYS do
  local capacity, drain, cost = tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1]), tonumber(ARGV[3 * i + 2])
  local entry = redis.call('GET', KEYS[i])
  local level = 0
  if entry then
    local at = string.find(entry, ':', 1, true)
    local passed = math.max(0, now - tonumber(string.sub(entry, at + 1)))
    level = math.max(0, tonumber(string.sub(entry, 1, at - 1)) - passed / 1000 / drain * capacity)
  end
  local room = capacity * share
  used[i] = level
  charge[i] = force and cost or math.min(cost, room)
  local over = level + charge[i] - room
  if over > capacity * 1e-9 then wait = math.max(wait, over / capacity * drain) end
end
if force or wait == 0 then
  for i = 1, #KEYS do
    used[i] = math.max(0, used[i] + charge[i])
    if used[i] == 0 then
      redis.call('DEL', KEYS[i])
    else
      local capacity, drain = tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
      redis.call('SET', KEYS[i], string.format('%.17g:%.0f', used[i], now), 'PX', math.ceil(used[i] / capacity * drain) + 1)
    end
  end
end
local answer = { string.format('%.17g', wait) }
for i = 1, #KEYS do answer[i + 1] = string.format('%.17g', used[i]) end
return answer
`;

interface Scripted {
  limit(keyCount: number, ...keysAndArguments: (string | number)[]): Promise<string[]>;
}

/** Buckets that all gateways with the same Redis share. Without Redis each gateway holds its callers to the limits by itself. */
export class RedisLimitStore implements LimitStore {
  readonly #redis: Redis & Scripted;
  readonly #timeoutMs: number;
  readonly #fallback: LimitStore;
  readonly #pauseMs: number;
  readonly #now: () => number;
  #pausedUntilMs = -Infinity;

  constructor({ url, timeoutMs, fallback, pauseMs, now, onRedis }: RedisStoreOptions) {
    this.#redis = new Redis(url, {
      // What cannot be asked now is decided here, now.
      ...redisOptions(timeoutMs),
      scripts: { limit: { lua: script } },
    }) as Redis & Scripted;
    watchRedis(this.#redis, onRedis);
    this.#timeoutMs = timeoutMs;
    this.#fallback = fallback;
    this.#pauseMs = pauseMs;
    this.#now = now;
  }

  async take(claims: readonly Claim[], share: number): Promise<Decision> {
    if (this.#now() >= this.#pausedUntilMs) {
      try {
        const [waitMs, ...used] = (await this.#run(claims, share, false)).map(Number);
        return { waitMs: waitMs as number, used, source: 'redis' };
      } catch {
        this.#pausedUntilMs = this.#now() + this.#pauseMs;
      }
    }
    return { ...(await this.#fallback.take(claims, share)), source: 'fallback' };
  }

  correct(claims: readonly Claim[], decidedBy: Decision['source']): void {
    if (decidedBy === 'redis') this.#run(claims, 1, true).catch(() => (this.#pausedUntilMs = this.#now() + this.#pauseMs));
    else this.#fallback.correct(claims, decidedBy);
  }

  async close(): Promise<void> {
    this.#redis.disconnect();
    await this.#fallback.close();
  }

  #run(claims: readonly Claim[], share: number, isForced: boolean): Promise<string[]> {
    const keys = claims.map(({ bucket }) => `autoglm:limit:${bucket}`);
    const numbers = claims.flatMap(({ rate, cost }) => [rate.capacity, rate.drainMs, cost]);
    return answeredWithin(this.#redis.limit(keys.length, ...keys, share, isForced ? 1 : 0, ...numbers), this.#timeoutMs);
  }
}
