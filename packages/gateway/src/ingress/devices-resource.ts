import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { AutoglmError } from '@open-autoglm/protocol';
import Type from 'typebox';
import { inputKinds, type DeviceRegistry, type DeviceReport, type ListedDevice } from '../common/device-registry.ts';
import type { Access } from './access.ts';
import { readJson } from './body.ts';
import type { FindResource } from './resource.ts';
import { tenantOf } from './tenant.ts';
import { createValidator } from './validate.ts';

const closed = { additionalProperties: false } as const;
const bytesMax = 16 * 1024;
const bytes = Type.Number({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, title: 'a number of bytes' });
const share = Type.Number({ minimum: 0, maximum: 1, title: 'a number from 0 to 1' });

const heartbeatSchema = Type.Object(
  {
    cpu: Type.Object(
      {
        cores: Type.Integer({ minimum: 1, maximum: 65_536, title: 'an integer of at least 1' }),
        load: Type.Number({ minimum: 0, maximum: 1_000_000, title: 'a number of at least 0' }),
      },
      closed,
    ),
    memory: Type.Object({ total_bytes: bytes, free_bytes: bytes }, closed),
    accelerators: Type.Optional(
      Type.Array(
        Type.Object(
          { name: Type.String({ minLength: 1, maxLength: 128 }), memory_total_bytes: bytes, memory_free_bytes: bytes, busy: share },
          closed,
        ),
        { maxItems: 64 },
      ),
    ),
    latency_ms: Type.Optional(Type.Number({ minimum: 0, maximum: 3_600_000, title: 'a number of milliseconds' })),
    accepts: Type.Optional(
      Type.Array(
        Type.Union(
          inputKinds.map((kind) => Type.Literal(kind)),
          { title: `one of ${inputKinds.join(', ')}` },
        ),
        { maxItems: inputKinds.length },
      ),
    ),
    interval_ms: Type.Optional(Type.Integer({ minimum: 10, maximum: 3_600_000, title: 'an integer from 10 to 3600000' })),
  },
  closed,
);
const validateHeartbeat = createValidator(heartbeatSchema);

const idPattern = /^[\w.:-]{1,128}$/;
const heartbeatPath = /^\/v1\/devices\/([^/]+)\/heartbeat$/;

export interface DevicesResourceOptions {
  readonly access: Access;
  readonly registry: DeviceRegistry;
  /** That devices show in `x-autoglm-device-token`; undefined: nobody asks for one. */
  readonly token: string | undefined;
}

/**
 * `POST /v1/devices/{id}/heartbeat`, where devices say how they are, and `GET /v1/devices`, where that can be seen. Both count against
 * request limits. Each device that has reported is a tenant and, without keys, a caller of its own: what others ask for silences none.
 * An id that nobody knows yet counts as its caller's: else every invented one would have a bucket, and push somebody's out.
 */
export function createDevicesResource({ access, registry, token }: DevicesResourceOptions): FindResource {
  const check = (message: IncomingMessage) => {
    if (token !== undefined && !isEqual(message.headers['x-autoglm-device-token'], token))
      throw new AutoglmError('invalid_api_key', "The header 'x-autoglm-device-token' is missing or wrong.", {
        param: 'x-autoglm-device-token',
      });
  };
  return (path) => {
    if (path === '/v1/devices') {
      return {
        methods: ['GET', 'HEAD'],
        async serve({ message, response }) {
          check(message);
          await access.admitCall(message.headers, tenantOf(message.headers, undefined), response);
          send(response, 200, { object: 'list', data: registry.list().map(toWire) });
        },
      };
    }
    const id = heartbeatPath.exec(path)?.[1];
    if (id === undefined) return undefined;
    return {
      methods: ['POST'],
      async serve({ message, response }) {
        check(message);
        const name = decode(id);
        const isKnown = registry.has(name);
        const tenant = tenantOf(message.headers, isKnown ? `device:${name}` : undefined);
        await access.admitCall(message.headers, tenant, response, isKnown ? tenant : undefined);
        // Not among the requests in hand: a full server has to hear who has room, and what is held here is small, and for a minute at most.
        const { value } = await readJson(message, { limitBytes: bytesMax }, new AbortController().signal);
        registry.beat(name, toReport(value));
        response.writeHead(204);
        response.end();
      },
    };
  };
}

function decode(written: string): string {
  try {
    const id = decodeURIComponent(written);
    if (idPattern.test(id)) return id;
  } catch {
    // Said below.
  }
  throw new AutoglmError('invalid_value', "A device's id is 1 to 128 letters, digits and any of _ . : -", { param: 'id' });
}

function toReport(value: unknown): DeviceReport {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new AutoglmError('invalid_json', 'The body must be a JSON object.');
  const {
    cpu,
    memory,
    accelerators = [],
    latency_ms: latencyMs,
    accepts = inputKinds,
    interval_ms: intervalMs = 1000,
  } = validateHeartbeat(value);
  return {
    ...cpu,
    memoryTotal: memory.total_bytes,
    memoryFree: memory.free_bytes,
    accelerators: accelerators.map((accelerator) => ({
      name: accelerator.name,
      memoryTotal: accelerator.memory_total_bytes,
      memoryFree: accelerator.memory_free_bytes,
      busy: accelerator.busy,
    })),
    latencyMs,
    accepts,
    intervalMs,
  };
}

function toWire({ id, isAlive, ageMs, report, scores }: ListedDevice): object {
  return {
    id,
    object: 'device',
    state: isAlive ? 'alive' : 'out',
    age_ms: Math.round(ageMs),
    cpu: { cores: report.cores, load: report.load },
    memory: { total_bytes: report.memoryTotal, free_bytes: report.memoryFree },
    accelerators: report.accelerators.map((accelerator) => ({
      name: accelerator.name,
      memory_total_bytes: accelerator.memoryTotal,
      memory_free_bytes: accelerator.memoryFree,
      busy: accelerator.busy,
    })),
    latency_ms: report.latencyMs ?? null,
    accepts: report.accepts,
    interval_ms: report.intervalMs,
    scores,
  };
}

/** By their hashes, which are of one length: the time says nothing of how much was right. */
function isEqual(given: string | string[] | undefined, wanted: string): boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest();
  return typeof given === 'string' && timingSafeEqual(hash(given), hash(wanted));
}

function send(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
  });
  response.end(text);
}
