import Type, { type Static } from 'typebox';

const closed = { additionalProperties: false } as const;
const bytes = (minimum: number) => Type.Integer({ minimum, maximum: Number.MAX_SAFE_INTEGER });
const seconds = Type.Integer({ minimum: 1, maximum: 315_360_000 });

/** `/v1/files` and `/v1/batches`: there where one of the first two keys says where they are kept. */
export const batchesSchema = Type.Object(
  {
    /**
     * A SQLite database. It is made when it is not there, and so is its folder, which is said at the start: a volume may not be where it
     * should be.
     */
    sqlite_path: Type.Optional(Type.String({ minLength: 1, maxLength: 4096 })),
    /**
     * The environment variable that holds the address of a PostgreSQL database, which several gateways may share:
     * `postgres://user:password@host/name`.
     */
    postgres_url_env: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
    /**
     * Lines that this gateway asks at once, of all batches together. Each counts against the limits of its key and tenant, of which all of
     * them fill half at most.
     */
    concurrency: Type.Integer({ minimum: 1, maximum: 10_000 }),
    /** Batches that this gateway works on at once; others wait. */
    running_max: Type.Integer({ minimum: 1, maximum: 1000 }),
    /** Batches of one tenant that have not ended; more are refused with 429. */
    per_tenant_max: Type.Integer({ minimum: 1, maximum: 100_000 }),
    /** Of all tenants that one key names; 16 times `per_tenant_max` where it is not given. */
    per_key_max: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000 })),
    /** Lines of one batch. */
    lines_max: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
    line_bytes_max: Type.Integer({ minimum: 1024, maximum: 1_073_741_824 }),
    /** A file has a second for each 512 KiB of this to come, a minute at least. */
    file_bytes_max: bytes(1024),
    /** What one tenant may keep in files; what batches write counts, and is never refused. */
    tenant_files_max: Type.Integer({ minimum: 1, maximum: 10_000_000 }),
    tenant_bytes_max: bytes(1024),
    /**
     * What all tenants that one key names may keep: 16 times as many files, and where there are several keys half of `bytes_max`, else all,
     * where it is not given.
     */
    key_files_max: Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000_000 })),
    key_bytes_max: Type.Optional(bytes(1024)),
    /** What all tenants may keep. */
    bytes_max: bytes(1024),
    /** Files are kept for so long, unless they were told to go sooner, and so are batches that have ended. */
    ttl_seconds: seconds,
    /** A gateway that is gone without a word has its batches taken over after so long. */
    lease_ms: Type.Integer({ minimum: 100, maximum: 600_000 }),
  },
  closed,
);

export const defaultBatches: Static<typeof batchesSchema> = {
  concurrency: 8,
  running_max: 16,
  per_tenant_max: 64,
  lines_max: 50_000,
  line_bytes_max: 1024 * 1024,
  file_bytes_max: 200 * 1024 * 1024,
  tenant_files_max: 1000,
  tenant_bytes_max: 2 * 1024 * 1024 * 1024,
  bytes_max: 20 * 1024 * 1024 * 1024,
  ttl_seconds: 30 * 24 * 3600,
  lease_ms: 10_000,
};
