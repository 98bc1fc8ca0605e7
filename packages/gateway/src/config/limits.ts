import Type, { type Static } from 'typebox';
import { keyName } from './auth.ts';

const closed = { additionalProperties: false } as const;
const count = Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000_000 }));

/** As much as a window has can be taken at once; then it comes back steadily. Absent: not limited. */
const allowance = Type.Object(
  { requests_per_second: count, requests_per_minute: count, tokens_per_second: count, tokens_per_minute: count },
  closed,
);

/** How much may be asked for; more is refused with 429. Without any of these nothing is counted. */
export const limitsSchema = Type.Object(
  {
    /** Of each key. Where `auth.keys` checks none, of whatever key a client shows. */
    key: allowance,
    /** Of each tenant of a key. */
    tenant: allowance,
    /** Of keys by their names in `auth.keys`, in the place of `key`. */
    keys: Type.Record(keyName, allowance),
    /** Tokens that an answer without `max_tokens` counts for until it is there; then what it took is put right. */
    answer_tokens_expected: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
    /**
     * Keys and tenants, times their limits, that are remembered in memory; the one that asked least lately is forgotten, and begins anew.
     */
    buckets_max: Type.Integer({ minimum: 100, maximum: 100_000_000 }),
    /** Several gateways with one Redis keep the limits together; without it each keeps them by itself. */
    redis_url: Type.Optional(Type.String({ pattern: '^rediss?://\\S+$', maxLength: 2048 })),
    /** Redis is given so long to answer; later it has failed, and this gateway decides alone for a second. */
    redis_timeout_ms: Type.Integer({ minimum: 1, maximum: 10_000 }),
  },
  closed,
);

export const defaultLimits: Static<typeof limitsSchema> = {
  key: {},
  tenant: {},
  keys: {},
  answer_tokens_expected: 256,
  buckets_max: 100_000,
  redis_timeout_ms: 50,
};
