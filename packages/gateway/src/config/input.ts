import os from 'node:os';
import Type, { type Static } from 'typebox';

/** What is done with requests before anybody answers them. */
export const inputSchema = Type.Object(
  {
    /** Threads for packed bodies and images, started when they are needed. */
    threads: Type.Integer({ minimum: 1, maximum: 64 }),
    /** Bodies, and images, that may wait for one; more are refused with 429. */
    waiting_max: Type.Integer({ minimum: 1, maximum: 100_000 }),
  },
  { additionalProperties: false },
);

export const defaultInput: Static<typeof inputSchema> = { threads: Math.max(1, Math.min(4, os.availableParallelism() - 1)), waiting_max: 256 };
