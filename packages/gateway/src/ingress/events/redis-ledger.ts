import { AutoglmError } from '@open-autoglm/protocol';
import { Redis } from 'ioredis';
import { answeredWithin } from '../../common/answered-within.ts';
import { redisOptions } from '../../common/redis-options.ts';
import { watchRedis, type OnRedis } from '../../common/watch-redis.ts';
import { otherName, type Accepted, type EventBatch, type EventLedger, type EventSum, type LedgerLimits } from './event-ledger.ts';

export interface RedisLedgerOptions extends LedgerLimits {
  readonly url: string;
  /** A command that takes longer has failed. */
  readonly timeoutMs: number;
  readonly onRedis?: OnRedis;
}

/**
 * ARGV: client, its time to live, names at most, the batches as JSON, and clients at most. They stand in the order in which they were
 * heard from, by the clock of Redis; each call forgets a few that are too old or too many, so that a bound that was lowered is reached
 * soon and no call takes long. What is counted is remembered in the same step: an answer that is lost on its way makes the client ask
 * again, and it is told then that all is counted.
 */
const add = `
local key = '{autoglm:events}:last:' .. ARGV[1]
local last = tonumber(redis.call('GET', key) or 0)
local accepted, highest = 0, last
for _, batch in ipairs(cjson.decode(ARGV[4])) do
  if batch.sequence > last then
    accepted = accepted + 1
    highest = batch.sequence
    for _, event in ipairs(batch.events) do
      local name = event.name
      if redis.call('HEXISTS', '{autoglm:events}:count', name) == 0 and redis.call('HLEN', '{autoglm:events}:count') >= tonumber(ARGV[3]) then name = '${otherName}' end
      redis.call('HINCRBY', '{autoglm:events}:count', name, event.count)
      redis.call('HINCRBYFLOAT', '{autoglm:events}:sum', name, string.format('%.17g', event.sum))
    end
  end
end
redis.call('SET', key, string.format('%.0f', highest), 'PX', ARGV[2])
local heard = '{autoglm:events}:heard'
local time = redis.call('TIME')
redis.call('ZADD', heard, string.format('%.0f', time[1] * 1000000 + time[2]), ARGV[1])
redis.call('PEXPIRE', heard, ARGV[2])
local function forget(clients)
  for _, client in ipairs(clients) do
    redis.call('ZREM', heard, client)
    redis.call('DEL', '{autoglm:events}:last:' .. client)
  end
end
forget(redis.call('ZRANGEBYSCORE', heard, '-inf', string.format('%.0f', time[1] * 1000000 + time[2] - ARGV[2] * 1000), 'LIMIT', 0, 16))
local beyond = redis.call('ZCARD', heard) - ARGV[5]
if beyond > 0 then forget(redis.call('ZRANGE', heard, 0, math.min(16, beyond) - 1)) end
return accepted`;
const totals = `return { redis.call('HGETALL', '{autoglm:events}:count'), redis.call('HGETALL', '{autoglm:events}:sum') }`;
const slotKey = '{autoglm:events}:count';

interface Scripted {
  eventsAdd(slot: string, ...args: readonly (string | number)[]): Promise<number>;
  eventsTotals(slot: string): Promise<readonly [readonly string[], readonly string[]]>;
}

/** Counts that all gateways with the same Redis share, each once whichever gateway it came to. */
export class RedisEventLedger implements EventLedger {
  readonly #redis: Redis & Scripted;
  readonly #timeoutMs: number;
  readonly #limits: LedgerLimits;

  constructor({ url, timeoutMs, onRedis, ...limits }: RedisLedgerOptions) {
    this.#timeoutMs = timeoutMs;
    this.#limits = limits;
    this.#redis = new Redis(url, {
      ...redisOptions(timeoutMs),
      scripts: { eventsAdd: { lua: add, numberOfKeys: 1 }, eventsTotals: { lua: totals, numberOfKeys: 1 } },
    }) as Redis & Scripted;
    watchRedis(this.#redis, onRedis);
  }

  async add(tenant: string, client: string, batches: readonly EventBatch[]): Promise<Accepted> {
    const { clientTtlMs, namesMax, clientsMax } = this.#limits;
    const accepted = await this.#asked(
      this.#redis.eventsAdd(slotKey, `${tenant}:${client}`, clientTtlMs, namesMax, JSON.stringify(batches), clientsMax),
    );
    return { accepted, duplicates: batches.length - accepted };
  }

  async totals(): Promise<readonly EventSum[]> {
    const [counts, sums] = await this.#asked(this.#redis.eventsTotals(slotKey));
    const sumOf = toMap(sums);
    return Array.from(toMap(counts), ([name, count]) => ({ name, count: Number(count), sum: Number(sumOf.get(name) ?? 0) }));
  }

  async close(): Promise<void> {
    this.#redis.disconnect();
  }

  async #asked<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answeredWithin(answer, this.#timeoutMs);
    } catch (cause) {
      throw new AutoglmError(
        'event_store_unavailable',
        'Events cannot be counted at this moment: their store does not answer. Send the same batches again.',
        { retryAfterSeconds: 1, cause },
      );
    }
  }
}

/** Redis tells a hash as names and values in turn. */
function toMap(pairs: readonly string[]): Map<string, string> {
  return new Map(Array.from({ length: pairs.length / 2 }, (_, index) => [pairs[2 * index] as string, pairs[2 * index + 1] as string]));
}
