import Type, { type Static } from 'typebox';

/** What applications count and send here in sums (`/v1/events`). */
export const eventsSchema = Type.Object(
  {
    enabled: Type.Boolean(),
    /** Names of events that are told apart in metrics, first come first served; the rest are counted as `other`. */
    names_max: Type.Integer({ minimum: 1, maximum: 10_000 }),
    /**
     * Clients whose last batch is remembered in memory, so that one that is sent again does not count again; beyond these the one heard
     * from longest ago is forgotten.
     */
    clients_max: Type.Integer({ minimum: 1, maximum: 100_000_000 }),
    /** A client that says nothing for so long is forgotten. */
    client_ttl_seconds: Type.Integer({ minimum: 1, maximum: 2_592_000 }),
    /** Several gateways with one Redis count together, and remember each other's clients. */
    redis_url: Type.Optional(Type.String({ pattern: '^rediss?://\\S+$', maxLength: 2048 })),
    /** Redis is given so long to answer; later the request is answered with 503, and its client sends it again. */
    redis_timeout_ms: Type.Integer({ minimum: 1, maximum: 60_000 }),
  },
  { additionalProperties: false },
);

export const defaultEvents: Static<typeof eventsSchema> = {
  enabled: true,
  names_max: 100,
  clients_max: 100_000,
  client_ttl_seconds: 86_400,
  redis_timeout_ms: 1000,
};
