import Type, { type Static } from 'typebox';

const closed = { additionalProperties: false } as const;
const milliseconds = Type.Integer({ minimum: 1, maximum: 86_400_000 });
const share = Type.Number({ minimum: 0, maximum: 1 });
/** One file each in `router/balance/`. */
const balance = Type.Union([
  Type.Literal('round_robin'),
  Type.Literal('weighted_random'),
  Type.Literal('least_connections'),
  Type.Literal('ip_hash'),
  Type.Literal('session_hash'),
  Type.Literal('two_choices'),
  Type.Literal('peak_ewma'),
  Type.Literal('prefix_affinity'),
  Type.Literal('devices'),
]);

/** How requests are spread over the engines of a model, and what happens when one fails. */
export const routerSchema = Type.Object(
  {
    balance,
    /** Engines that one request may be sent to, one after the other; an answer that has begun is never sent elsewhere. */
    tries_max: Type.Integer({ minimum: 1, maximum: 16 }),
    health: Type.Object(
      {
        /** Every remote engine is asked for its models so often; without an answer in time, so many times in a row, it is left alone. */
        probe_interval_ms: Type.Integer({ minimum: 10, maximum: 3_600_000 }),
        probe_timeout_ms: Type.Integer({ minimum: 10, maximum: 3_600_000 }),
        probe_failures: Type.Integer({ minimum: 1, maximum: 100 }),
        /**
         * So many requests that fail in a row eject an engine, of a model's only one so many different ones; one that cannot be reached is
         * ejected at once.
         */
        failures: Type.Integer({ minimum: 1, maximum: 1000 }),
        /**
         * It is left alone for so long, twice as long each time it fails again, or until its probe is answered after some that were not;
         * and then tried with one request.
         */
        eject_ms: milliseconds,
        eject_max_ms: milliseconds,
        /** One that takes so many times as long to its first part as the others is ejected too; 0: none is. */
        slow_factor: Type.Number({ minimum: 0, maximum: 1000 }),
        /** Where every one of several engines is ejected, those whose probe is answered are asked all the same. */
        panic: Type.Boolean(),
        /** How long one that comes back takes until it gets its whole share. */
        slow_start_ms: Type.Integer({ minimum: 0, maximum: 3_600_000 }),
      },
      closed,
    ),
    /** Retries are at most this share of the requests, and so many a second more; those of requests that reached nobody are free. */
    retries: Type.Object({ ratio: share, per_second: Type.Number({ minimum: 0, maximum: 100_000 }) }, closed),
    /**
     * A request whose first part is later than this quantile of the last ones is sent to a second engine as well; who answers first
     * answers.
     */
    hedging: Type.Object(
      {
        enabled: Type.Boolean(),
        quantile: Type.Number({ minimum: 0.5, maximum: 0.999 }),
        /** At most this share of the requests. */
        ratio: share,
        delay_min_ms: milliseconds,
      },
      closed,
    ),
  },
  closed,
);

export const defaultRouter: Static<typeof routerSchema> = {
  balance: 'least_connections',
  tries_max: 3,
  health: {
    probe_interval_ms: 5000,
    probe_timeout_ms: 1500,
    probe_failures: 2,
    failures: 3,
    eject_ms: 1000,
    eject_max_ms: 30_000,
    slow_factor: 5,
    panic: true,
    slow_start_ms: 10_000,
  },
  retries: { ratio: 0.2, per_second: 10 },
  hedging: { enabled: false, quantile: 0.95, ratio: 0.05, delay_min_ms: 10 },
};
