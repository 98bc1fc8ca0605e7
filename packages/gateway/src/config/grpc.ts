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
    /**
     * The quickest first. Each decides about the whole state with a model, the state's own where none is named; what runs here is
     * `default`, as its own name is known only when it is loaded.
     */
    levels: Type.Array(
      Type.Object(
        {
          name: Type.String({ minLength: 1, maxLength: 64 }),
          model: Type.Optional(Type.String({ minLength: 1, maxLength: 512 })),
          /** Of a decision; the state may ask for fewer. */
          max_tokens: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000_000 })),
          /** Another gateway decides at this level: states are passed on to it as they change, and its decisions come from here. */
          upstream: Type.Optional(
            Type.Object(
              {
                /** `host:port` of its gRPC. */
                target: Type.String({ minLength: 1, maxLength: 512 }),
                /** Its own name for the level; this one's when not given. */
                level: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
                /** PEM files: who vouches for it, and what is shown to it. Needed for another machine. */
                tls: Type.Optional(Type.Object({ ca: file, cert: Type.Optional(file), key: Type.Optional(file) }, closed)),
                /** The environment variable that holds this gateway's key there. */
                api_key_env: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
              },
              closed,
            ),
          ),
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
  if (!tls && !isHere(host))
    return { key: 'tls', reason: `is missing: without it nobody but this machine may be listened to, and host is ${host}` };
  const doubled = levels.find(({ name }, index) => levels.findIndex((other) => other.name === name) !== index);
  if (doubled) return { key: 'levels', reason: `has two levels of the name ${JSON.stringify(doubled.name)}` };
  const open = levels.find(
    ({ upstream }) => upstream && !upstream.tls && !isHere(upstream.target.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')),
  );
  if (open)
    return {
      key: 'levels',
      reason: `has ${JSON.stringify(open.name)} without upstream.tls: nobody but this machine may be told states without it, and upstream.target is ${open.upstream?.target}`,
    };
  const half = levels.find(({ upstream }) => upstream?.tls && (upstream.tls.cert === undefined) !== (upstream.tls.key === undefined));
  if (half) return { key: 'levels', reason: `has ${JSON.stringify(half.name)} with only one of upstream.tls.cert and upstream.tls.key` };
  return undefined;
}

function isHere(host: string): boolean {
  return /^(127\.\d+\.\d+\.\d+|::1|localhost)$/.test(host);
}
