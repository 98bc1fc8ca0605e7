import { hostname } from 'node:os';
import Type, { type Static } from 'typebox';
import type { EngineConfig } from './engines.ts';

const closed = { additionalProperties: false } as const;
const weight = Type.Number({ minimum: 0, maximum: 1000 });
const weights = Type.Object(
  { cpu: Type.Optional(weight), memory: Type.Optional(weight), latency: Type.Optional(weight), accelerator: Type.Optional(weight) },
  closed,
);
const variable = Type.String({ minLength: 1, maxLength: 256 });

/**
 * Machines of unequal strength that report how they are; `engines[].device` says which engine runs on which, `router.balance: devices`
 * places by that.
 */
export const devicesSchema = Type.Object(
  {
    enabled: Type.Boolean(),
    /** This machine's; its name when not given. Engines that run in this process are on it. */
    id: Type.String({ pattern: '^[\\w.:-]{1,128}$' }),
    /** What this machine is for. */
    accepts: Type.Array(Type.Union([Type.Literal('text'), Type.Literal('structured'), Type.Literal('image')]), {
      minItems: 1,
      maxItems: 3,
    }),
    /**
     * How often this machine says how it is. Each report counts against the request limits of its key, or of the device where keys are not
     * checked.
     */
    interval_ms: Type.Integer({ minimum: 10, maximum: 3_600_000 }),
    /** Gateways that are told, besides this one. */
    report_to: Type.Array(
      Type.Object(
        {
          url: Type.String({ pattern: '^https?://[^\\s@?#]+$', maxLength: 2048 }),
          /** Environment variables with what they ask for: the devices' token, and a key where the gateway wants one. */
          token_env: Type.Optional(variable),
          api_key_env: Type.Optional(variable),
        },
        closed,
      ),
      { maxItems: 16 },
    ),
    /** The environment variable with the token that devices must show here; without it, whoever can reach this port may report. */
    token_env: Type.Optional(variable),
    /** A device that is silent for so long is out; for three of its own intervals, where those are longer. */
    timeout_ms: Type.Integer({ minimum: 10, maximum: 86_400_000 }),
    /** More than these are refused with 429, as long as all of them are there. */
    devices_max: Type.Integer({ minimum: 1, maximum: 100_000 }),
    /** What idle cores, free memory, nearness and an accelerator's room are worth. */
    weights,
    /** The same for one kind of input; what is not given is as above. */
    weights_by_input: Type.Object(
      { text: Type.Optional(weights), structured: Type.Optional(weights), image: Type.Optional(weights) },
      closed,
    ),
    /** Nearness is this over the latency, and at most 1. */
    latency_unit_ms: Type.Number({ exclusiveMinimum: 0, maximum: 60_000 }),
  },
  closed,
);

export const defaultDevices: Static<typeof devicesSchema> = {
  enabled: false,
  id:
    hostname()
      .replace(/[^\w.:-]/g, '-')
      .slice(0, 128) || 'this',
  accepts: ['text', 'structured', 'image'],
  interval_ms: 1000,
  report_to: [],
  timeout_ms: 5000,
  devices_max: 1024,
  weights: { cpu: 0.4, memory: 0.3, latency: 0.3, accelerator: 0 },
  weights_by_input: { image: { accelerator: 1 } },
  latency_unit_ms: 10,
};

/** What no schema can see: an engine on a device that nobody would hear of. */
export function problemOfDevices({ enabled }: Static<typeof devicesSchema>, engines: readonly EngineConfig[]): string | undefined {
  const bound = engines.find(({ device }) => device !== undefined);
  if (enabled || !bound) return undefined;
  return `is false, and the engine ${bound.name} is on the device ${bound.device}: where devices do not report, nothing would ever be sent there`;
}
