import Type, { type Static } from 'typebox';

const closed = { additionalProperties: false } as const;
const file = Type.String({ minLength: 1 });

/** What stands between tiers: `autoglm.tiers.v1.Tiers` over gRPC. */
export const grpcSchema = Type.Object(
  {
    enabled: Type.Boolean(),
    /** An address that others than this machine reach needs `tls`. */
    host: Type.String({ minLength: 1 }),
    port: Type.Integer({ minimum: 0, maximum: 65_535 }),
    /** PEM files. With `client_ca` it is mutual: who shows no certificate of that authority is not let in. */
    tls: Type.Optional(Type.Object({ cert: file, key: file, client_ca: Type.Optional(file) }, closed)),
    /** The quickest first. Each decides about the whole state with a model, the state's own where none is named. */
    levels: Type.Array(
      Type.Object(
        {
          name: Type.String({ minLength: 1, maxLength: 64 }),
          model: Type.Optional(Type.String({ minLength: 1, maxLength: 512 })),
          /** Of a decision; the state may ask for fewer. */
          max_tokens: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000_000 })),
        },
        closed,
      ),
      { minItems: 1, maxItems: 8 },
    ),
    /** More at once are refused with RESOURCE_EXHAUSTED. */
    conversations_max: Type.Integer({ minimum: 1, maximum: 100_000 }),
    /** Of one conversation; a larger one is refused. */
    state_bytes_max: Type.Integer({ minimum: 1024, maximum: 268_435_456 }),
    /** A conversation in which the client says nothing for so long is ended. */
    idle_timeout_ms: Type.Integer({ minimum: 1000, maximum: 86_400_000 }),
    /** How often a peer that is silent is asked for a sign of life, and given up after as long again. */
    keepalive_ms: Type.Integer({ minimum: 100, maximum: 3_600_000 }),
  },
  closed,
);

export type GrpcConfig = Static<typeof grpcSchema>;

export const defaultGrpc: GrpcConfig = {
  enabled: false,
  host: '127.0.0.1',
  port: 8090,
  levels: [{ name: 'answer' }],
  conversations_max: 1000,
  state_bytes_max: 1024 * 1024,
  idle_timeout_ms: 600_000,
  keepalive_ms: 10_000,
};

/** What no schema can see: which key, and what is wrong with it. */
export function problemOfGrpc({ enabled, host, tls, levels }: GrpcConfig): { readonly key: string; readonly reason: string } | undefined {
  if (!enabled) return undefined;
  if (!tls && !/^(127\.\d+\.\d+\.\d+|::1|localhost)$/.test(host)) return { key: 'tls', reason: `is missing: without it nobody but this machine may be listened to, and host is ${host}` };
  const doubled = levels.find(({ name }, index) => levels.findIndex((other) => other.name === name) !== index);
  if (doubled) return { key: 'levels', reason: `has two levels of the name ${JSON.stringify(doubled.name)}` };
  return undefined;
}
