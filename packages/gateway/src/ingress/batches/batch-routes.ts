import { AutoglmError } from '@open-autoglm/protocol';
import Type from 'typebox';
import type { Access } from '../access.ts';
import { readJson } from '../body.ts';
import type { Generations } from '../generations.ts';
import type { Resource, ResourceCall } from '../resource.ts';
import { sendJson } from '../send-json.ts';
import { createValidator } from '../validate.ts';
import { admitCaller } from './admit-caller.ts';
import { endpoints, windowMs, type Endpoint } from './batch-lines.ts';
import { invalid, readPageQuery, toPage } from './cursor-page.ts';
import { findFile, toSeconds } from './file-routes.ts';
import type { Batch, BatchStore, Counts } from './store/batch-store.ts';
import type { FileStore } from './store/file-store.ts';

export interface BatchStores {
  readonly batches: BatchStore;
  readonly files: FileStore;
}

export interface BatchParts {
  /** Rejects with `engine_unavailable` where the database cannot be reached. */
  readonly stores: () => Promise<BatchStores>;
  readonly access: Access;
  readonly generations: Generations;
  readonly bodyLimitBytes: number;
  readonly perTenantMax: number;
  readonly perKeyMax: number;
  readonly now: () => number;
  readonly newId: () => string;
  /** There is one more to work on. */
  readonly onCreated: () => void;
  readonly onCancelled: (id: string) => void;
}

const validate = createValidator(
  Type.Object(
    {
      input_file_id: Type.String({ minLength: 1, maxLength: 64 }),
      endpoint: Type.Union(
        Object.keys(endpoints).map((endpoint) => Type.Literal(endpoint)),
        { title: `one of ${Object.keys(endpoints).join(', ')}` },
      ),
      completion_window: Type.String({ title: '"24h"' }),
      metadata: Type.Optional(
        Type.Union([Type.Record(Type.String({ maxLength: 64 }), Type.String({ maxLength: 512 }), { maxProperties: 16 }), Type.Null()], {
          title: 'an object of up to 16 strings',
        }),
      ),
      output_expires_after: Type.Optional(
        Type.Union(
          [
            Type.Object(
              { anchor: Type.Literal('created_at'), seconds: Type.Integer({ minimum: 3600, maximum: 2_592_000 }) },
              { additionalProperties: false },
            ),
            Type.Null(),
          ],
          { title: 'an object with anchor: "created_at" and seconds: 3600 to 2592000' },
        ),
      ),
    },
    { additionalProperties: false },
  ),
);

/**
 *   POST /v1/batches              input_file_id, endpoint, completion_window, metadata   → the batch
 *   GET  /v1/batches              ?limit, after                                          → a page of them, newest first
 *   GET  /v1/batches/{id}         → the batch
 *   POST /v1/batches/{id}/cancel  → the batch
 */
export class BatchRoutes {
  readonly #parts: BatchParts;

  constructor(parts: BatchParts) {
    this.#parts = parts;
  }

  find(path: string): Resource | undefined {
    const [isBatch, id, cancel] = /^\/v1\/batches(?:\/([\w-]{1,64})(\/cancel)?)?$/.exec(path) ?? [];
    if (isBatch === undefined) return undefined;
    if (cancel) return { methods: ['POST'], serve: (call) => this.#cancel(call, id as string) };
    if (id !== undefined) return { methods: ['GET'], serve: (call) => this.#read(call, id) };
    return { methods: ['POST', 'GET'], serve: (call) => (call.message.method === 'GET' ? this.#list(call) : this.#create(call)) };
  }

  async #create({ message, response }: ResourceCall): Promise<void> {
    const { generations, bodyLimitBytes, perTenantMax, perKeyMax, now, newId, onCreated } = this.#parts;
    const { key, tenant } = await admitCaller(this.#parts, message, response);
    const { value } = await readJson(message, { limitBytes: bodyLimitBytes }, generations.take(response).abort.signal);
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new AutoglmError('invalid_json', 'The body must be a JSON object.');
    const body = validate(value);
    const length = windowMs(body.completion_window);
    const { batches, files } = await this.#parts.stores();
    const { purpose } = await findFile(files, tenant, body.input_file_id, 'input_file_id');
    if (purpose !== 'batch') throw invalid('input_file_id', `the purpose of this file is ${JSON.stringify(purpose)}, and not "batch"`);
    const batch = await batches.create(
      {
        id: newId(),
        tenant,
        key_name: key ?? null,
        endpoint: body.endpoint as Endpoint,
        input_file_id: body.input_file_id,
        completion_window: body.completion_window,
        metadata: body.metadata ? JSON.stringify(body.metadata) : null,
        output_expires_seconds: body.output_expires_after?.seconds ?? null,
        created_at_ms: now(),
        expires_at_ms: now() + length,
      },
      perTenantMax,
      perKeyMax,
    );
    if (!batch)
      throw new AutoglmError(
        'queue_full',
        `There are as many batches that have not ended as may be: ${perTenantMax} of one tenant (batches.per_tenant_max), ${perKeyMax} of one key (batches.per_key_max).`,
        { retryAfterSeconds: 60 },
      );
    onCreated();
    sendJson(response, 200, describe(batch, { total: 0, completed: 0, failed: 0 }));
  }

  async #read({ message, response }: ResourceCall, id: string): Promise<void> {
    const { tenant } = await admitCaller(this.#parts, message, response);
    const { batches } = await this.#parts.stores();
    sendJson(response, 200, await this.#describe(batches, tenant, id));
  }

  async #list({ message, response }: ResourceCall): Promise<void> {
    const { tenant } = await admitCaller(this.#parts, message, response);
    const { limit, after } = readPageQuery(message.url, { known: ['limit', 'after'], limit: 20, limitMax: 100 });
    const { batches } = await this.#parts.stores();
    const found = await batches.list({ tenant, after, limit: limit + 1 });
    sendJson(response, 200, toPage(await Promise.all(found.map(async (batch) => describe(batch, await batches.counts(batch)))), limit));
  }

  async #cancel({ message, response }: ResourceCall, id: string): Promise<void> {
    const { now, onCancelled } = this.#parts;
    const { tenant } = await admitCaller(this.#parts, message, response);
    const { batches } = await this.#parts.stores();
    if (await batches.cancel(tenant, id, now())) {
      onCancelled(id);
    } else {
      const batch = await findBatch(batches, tenant, id);
      if (batch.status !== 'cancelling')
        throw new AutoglmError('batch_not_cancellable', `The batch is ${batch.status}; there is nothing left to cancel.`);
    }
    sendJson(response, 200, await this.#describe(batches, tenant, id));
  }

  async #describe(batches: BatchStore, tenant: string, id: string): Promise<object> {
    const batch = await findBatch(batches, tenant, id);
    return describe(batch, await batches.counts(batch));
  }
}

async function findBatch(batches: BatchStore, tenant: string, id: string): Promise<Batch> {
  const batch = await batches.find(tenant, id);
  if (!batch) throw new AutoglmError('batch_not_found', `There is no batch ${JSON.stringify(id)}.`);
  return batch;
}

function describe(batch: Batch, counts: Counts) {
  const { id, status, ended_at_ms: endedAtMs } = batch;
  const at = (milliseconds: number | null) => (milliseconds === null ? null : toSeconds(milliseconds));
  const endedAs = (wanted: Batch['status']) => (status === wanted ? at(endedAtMs) : null);
  return {
    id,
    object: 'batch',
    endpoint: batch.endpoint,
    errors: batch.errors === null ? null : (JSON.parse(batch.errors) as object),
    input_file_id: batch.input_file_id,
    completion_window: batch.completion_window,
    status,
    output_file_id: batch.output_file_id,
    error_file_id: batch.error_file_id,
    created_at: at(batch.created_at_ms),
    in_progress_at: at(batch.in_progress_at_ms),
    expires_at: at(batch.expires_at_ms),
    finalizing_at: at(batch.finalizing_at_ms),
    completed_at: endedAs('completed'),
    failed_at: endedAs('failed'),
    expired_at: endedAs('expired'),
    cancelling_at: at(batch.cancelling_at_ms),
    cancelled_at: endedAs('cancelled'),
    request_counts: counts,
    ...(endedAtMs !== null && { usage: usageOf(batch) }),
    metadata: batch.metadata === null ? null : (JSON.parse(batch.metadata) as object),
  };
}

function usageOf({ input_tokens: input, output_tokens: output }: Batch): object {
  return {
    input_tokens: input,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: input + output,
  };
}
