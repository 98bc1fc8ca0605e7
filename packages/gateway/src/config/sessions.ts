import Type, { type Static } from 'typebox';

/** Conversations whose context the server holds (`/v1/sessions`). */
export const sessionsSchema = Type.Object(
  {
    enabled: Type.Boolean(),
    /** A session that is not used for so long is gone. */
    ttl_seconds: Type.Integer({ minimum: 1, maximum: 2_592_000 }),
    /** A tenant that has so many is refused another one with 429. */
    per_tenant_max: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
    /**
     * Of all tenants together. Beyond these the key that has most, or most bytes, loses the session that it used longest ago: none loses
     * one to another that has more.
     */
    sessions_max: Type.Integer({ minimum: 1, maximum: 10_000_000 }),
    bytes_max: Type.Integer({ minimum: 1024, maximum: Number.MAX_SAFE_INTEGER }),
    /** Of one session; a larger one is refused with 413. */
    session_bytes_max: Type.Integer({ minimum: 1024, maximum: 268_435_456 }),
    /** Several gateways with one Redis have the same sessions; without it they are in this process's memory. */
    redis_url: Type.Optional(Type.String({ pattern: '^rediss?://\\S+$', maxLength: 2048 })),
    /** Redis is given so long to answer; later the request is answered with 503. */
    redis_timeout_ms: Type.Integer({ minimum: 1, maximum: 60_000 }),
  },
  { additionalProperties: false },
);

export const defaultSessions: Static<typeof sessionsSchema> = {
  enabled: true,
  ttl_seconds: 3600,
  per_tenant_max: 1000,
  sessions_max: 10_000,
  bytes_max: 256 * 1024 * 1024,
  session_bytes_max: 2 * 1024 * 1024,
  redis_timeout_ms: 1000,
};

/** What no schema can see: which key, and what is wrong with it. */
export function problemOfSessions({
  bytes_max: bytesMax,
  session_bytes_max: sessionBytesMax,
}: Static<typeof sessionsSchema>): { readonly key: string; readonly reason: string } | undefined {
  if (sessionBytesMax * 2 > bytesMax)
    return { key: 'bytes_max', reason: `is ${bytesMax}, and must be at least twice session_bytes_max: ${sessionBytesMax}` };
  return undefined;
}
