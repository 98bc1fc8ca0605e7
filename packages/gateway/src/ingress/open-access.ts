import { Access } from './access.ts';
import { Keyring, type KeyEntry } from './auth/keyring.ts';
import { Limits, type Allowance } from './limits/limits.ts';
import { MemoryLimitStore } from './limits/memory-store.ts';
import { ConfigError } from '../common/config-error.ts';
import type { OnRedis } from '../common/watch-redis.ts';

export interface AccessOptions {
  readonly auth: { readonly keys: readonly KeyEntry[] };
  readonly limits: {
    readonly key: Allowance;
    readonly tenant: Allowance;
    readonly keys: Readonly<Record<string, Allowance>>;
    readonly answer_tokens_expected: number;
    readonly buckets_max: number;
    readonly redis_url?: string;
    readonly redis_timeout_ms: number;
  };
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly onRedis: OnRedis;
}

/** How long Redis is left alone after it failed. */
const redisPauseMs = 1000;

/** The door as the configuration has it; Redis's library is loaded where it is used. Rejects with `ConfigError`. */
export async function openAccess({ auth, limits, env, onRedis }: AccessOptions): Promise<Access> {
  const keyring = auth.keys.length > 0 ? new Keyring(auth.keys, env) : undefined;
  const unknown = Object.keys(limits.keys).find((name) => !auth.keys.some((key) => key.name === name));
  if (unknown !== undefined) throw new ConfigError(`limits.keys.${unknown}: there is no key of this name in auth.keys.`);
  const isLimited = [limits.key, limits.tenant, ...Object.values(limits.keys)].some((allowance) => Object.keys(allowance).length > 0);
  return new Access(keyring, isLimited ? await openLimits(limits, onRedis) : undefined);
}

async function openLimits({ key, tenant, keys, ...options }: AccessOptions['limits'], onRedis: OnRedis): Promise<Limits> {
  const now = () => performance.now();
  const memory = new MemoryLimitStore({ bucketsMax: options.buckets_max, now });
  const { redis_url: url } = options;
  const store =
    url === undefined
      ? memory
      : new (await import('./limits/redis-store.ts')).RedisLimitStore({
          url,
          timeoutMs: options.redis_timeout_ms,
          fallback: memory,
          pauseMs: redisPauseMs,
          now,
          onRedis,
        });
  return new Limits({ key, tenant, keys, answerTokensExpected: options.answer_tokens_expected, store });
}
