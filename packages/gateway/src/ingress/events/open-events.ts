import { AutoglmError } from '@open-autoglm/protocol';
import Type from 'typebox';
import type { InputSteps } from '../../common/steps/input-steps.ts';
import type { OnRedis } from '../../common/watch-redis.ts';
import { createBodyReading, readJson, type BodyReading } from '../body.ts';
import type { Generations } from '../generations.ts';
import type { FindResource, Resource } from '../resource.ts';
import { sendAnswer } from '../send-answer.ts';
import { tenantOf } from '../tenant.ts';
import { createValidator } from '../validate.ts';
import type { EventBatch, EventLedger, EventSum } from './event-ledger.ts';
import { MemoryEventLedger } from './memory-ledger.ts';

/** As the configuration has them. */
export interface EventOptions {
  readonly enabled: boolean;
  readonly names_max: number;
  readonly clients_max: number;
  readonly client_ttl_seconds: number;
  readonly redis_url?: string;
  readonly redis_timeout_ms: number;
}

export interface Events {
  readonly resources: readonly ((generations: Generations) => FindResource)[];
  /** What was counted, by name; undefined where nothing counts. */
  readonly totals: (() => Promise<readonly EventSum[]>) | undefined;
  readonly close: () => Promise<void>;
}

/** Sums are small; a client that has been away for a day still fits. */
const bodyBytesMax = 1024 * 1024;
const batchesMax = 64;
const eventsMax = 1000;

const closed = { additionalProperties: false } as const;
const event = Type.Object(
  {
    name: Type.String({ pattern: '^[\\w.:/-]{1,128}$', title: 'a name of 1 to 128 letters, digits and . : / _ -' }),
    count: Type.Integer({ minimum: 1, maximum: 1_000_000_000, title: 'an integer from 1 to 1000000000' }),
    sum: Type.Optional(Type.Number({ minimum: 0, maximum: 1e15, title: 'a number from 0 to 10^15' })),
  },
  closed,
);
const validate = createValidator(
  Type.Object(
    {
      client_id: Type.String({
        pattern: '^[\\w-]{8,128}$',
        title: 'the 8 to 128 letters, digits, _ and - that tell this client from all others',
      }),
      batches: Type.Array(
        Type.Object(
          {
            sequence: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER, title: 'an integer of at least 1' }),
            events: Type.Array(event, { maxItems: eventsMax, title: `an array of at most ${eventsMax} events` }),
          },
          closed,
        ),
        {
          minItems: 1,
          maxItems: batchesMax,
          title: `an array of 1 to ${batchesMax} batches`,
        },
      ),
    },
    closed,
  ),
);

/** `POST /v1/events`: what applications counted, each batch once however often it is sent. Redis's library is loaded where it is used. */
export async function openEvents(options: EventOptions, steps: InputSteps, onRedis: OnRedis): Promise<Events> {
  if (!options.enabled) return { resources: [], totals: undefined, close: async () => {} };
  const limits = { namesMax: options.names_max, clientsMax: options.clients_max, clientTtlMs: options.client_ttl_seconds * 1000 };
  const ledger: EventLedger =
    options.redis_url === undefined
      ? new MemoryEventLedger({ ...limits, now: Date.now })
      : new (await import('./redis-ledger.ts')).RedisEventLedger({
          ...limits,
          url: options.redis_url,
          timeoutMs: options.redis_timeout_ms,
          onRedis,
        });
  const bodies = createBodyReading(steps, bodyBytesMax);
  return {
    resources: [(generations) => (path) => (path === '/v1/events' ? createResource(ledger, generations, bodies) : undefined)],
    totals: () => ledger.totals(),
    close: () => ledger.close(),
  };
}

function createResource(ledger: EventLedger, generations: Generations, bodies: BodyReading): Resource {
  return {
    methods: ['POST'],
    async serve({ message, response }) {
      const tenant = tenantOf(message.headers, undefined);
      await generations.admitCall(message, tenant, response);
      const { value } = await readJson(message, bodies, generations.take(response).abort.signal);
      const { client, batches } = readBatches(value);
      sendAnswer(response, 200, { object: 'events', ...(await ledger.add(tenant, client, batches)) });
    },
  };
}

/** Throws `invalid_value` and its like by the field. */
function readBatches(body: unknown): { readonly client: string; readonly batches: readonly EventBatch[] } {
  const { client_id: client, batches } = validate(body);
  for (const [index, { sequence }] of batches.entries()) {
    const before = batches[index - 1]?.sequence ?? 0;
    const param = `batches[${index}].sequence`;
    if (sequence <= before)
      throw new AutoglmError('invalid_value', `Invalid value for '${param}': must be more than that of the batch before it, ${before}.`, {
        param,
      });
  }
  return {
    client,
    batches: batches.map(({ sequence, events }) => ({
      sequence,
      events: events.map(({ name, count, sum = 0 }) => ({ name, count, sum })),
    })),
  };
}
