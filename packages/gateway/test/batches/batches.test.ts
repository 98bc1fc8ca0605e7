import path from 'node:path';
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { defaultConfig } from '../../src/main.ts';
import { createGate, until } from '../support.ts';
import { createBatch, ended, jsonl, readOutput, startBatchServer, temporaryFolder, upload, type BatchServerOptions } from './support.ts';

async function withServer(
  options: BatchServerOptions,
  use: (server: Awaited<ReturnType<typeof startBatchServer>>) => Promise<void>,
): Promise<void> {
  using folder = temporaryFolder();
  await using server = await startBatchServer(path.join(folder.path, 'batches.sqlite'), options);
  await use(server);
}

const numbered = (count: number) => Array.from({ length: count }, (_, index) => ({ custom_id: `line-${index}` }));
const metrics = async (url: string) => (await fetch(`${url}/metrics`)).text();
const customIds = (lines: readonly { custom_id: string }[]) => lines.map(({ custom_id: id }) => id);

describe('batches', () => {
  it('counts calls about batches and files as requests of their tenant', () =>
    withServer({ config: { limits: { ...defaultConfig.limits, tenant: { requests_per_minute: 3 } } } }, async ({ client, clientOf }) => {
      const id = await upload(client, jsonl(numbered(1)));
      expect([(await client.files.retrieve(id)).id, (await client.batches.list()).data]).toEqual([id, []]);
      for (const refused of [client.files.list(), client.files.content(id), client.batches.retrieve('batch_x')])
        await expect(refused).rejects.toMatchObject({ status: 429, code: 'rate_limit_exceeded' });
      expect((await clientOf('two').batches.list()).data).toEqual([]);
    }));

  it('answers every line of a file, in its order, as its own route would', () =>
    withServer({}, async ({ client, engine }) => {
      const created = await createBatch(client, numbered(100));
      expect(created).toMatchObject({
        object: 'batch',
        endpoint: '/v1/chat/completions',
        completion_window: '24h',
        errors: null,
        request_counts: { total: 0, completed: 0, failed: 0 },
      });
      const batch = await ended(client, created.id);
      expect(batch).toMatchObject({
        status: 'completed',
        request_counts: { total: 100, completed: 100, failed: 0 },
        error_file_id: null,
        usage: { output_tokens: 600 },
      });
      expect(batch.completed_at).toBeGreaterThanOrEqual(batch.created_at);
      const output = await readOutput(client, batch.output_file_id);
      expect(customIds(output)).toEqual(customIds(numbered(100)));
      expect(output[0]).toMatchObject({
        error: null,
        response: {
          status_code: 200,
          body: { object: 'chat.completion', choices: [{ message: { content: '你好，世界！' } }], usage: { completion_tokens: 6 } },
        },
      });
      expect(engine.requests).toHaveLength(100);
      const file = await client.files.retrieve(batch.output_file_id as string);
      expect(file).toMatchObject({ object: 'file', purpose: 'batch_output', filename: `${batch.id}_output.jsonl`, status: 'processed' });
    }));

  it('answers text completions and embeddings, in the batch lane', () =>
    withServer({}, async ({ client, engine, embeddings: embedder }) => {
      const url = '/v1/completions';
      const completions = await createBatch(client, [{ custom_id: 'a', url, body: { model: 'default', prompt: 'x', max_tokens: 2 } }], url);
      const embeddings = await createBatch(
        client,
        [{ custom_id: 'a', url: '/v1/embeddings', body: { model: 'mock-embeddings', input: ['x', 'y'] } }],
        '/v1/embeddings',
      );
      const [one] = await readOutput(client, (await ended(client, completions.id)).output_file_id);
      expect(one?.response?.body).toMatchObject({ object: 'text_completion', choices: [{ text: '你好' }] });
      const [other] = await readOutput(client, (await ended(client, embeddings.id)).output_file_id);
      expect(other?.response?.body).toMatchObject({ object: 'list', data: [{ index: 0 }, { index: 1 }], usage: { prompt_tokens: 2 } });
      expect([engine.requests.map(({ standing }) => standing?.lane), embedder.requests.map(({ lane }) => lane)]).toEqual([
        ['batch'],
        ['batch'],
      ]);
    }));

  it('puts what failed into the error file, each as its own route would answer', () =>
    withServer({}, async ({ client }) => {
      const body = (more: object) => ({ model: 'default', messages: [{ role: 'user', content: 'x' }], ...more });
      const batch = await ended(
        client,
        (
          await createBatch(client, [
            { custom_id: 'good' },
            { custom_id: 'bad', body: body({ temperature: 9 }) },
            { custom_id: 'model', body: body({ model: 'none' }) },
            { custom_id: 'unknown', body: body({ frobnicate: 1 }) },
            { custom_id: 'half', body: body({ stop: 'a\ud800' }) },
          ])
        ).id,
      );
      expect(batch).toMatchObject({ status: 'completed', request_counts: { total: 5, completed: 1, failed: 4 } });
      const errors = await readOutput(client, batch.error_file_id);
      expect(
        errors.map(({ custom_id: id, response }) => [
          id,
          response?.status_code,
          (response as unknown as { body: { error: { param: string } } }).body.error.param,
        ]),
      ).toEqual([
        ['bad', 400, 'temperature'],
        ['model', 404, 'model'],
        ['unknown', 400, 'frobnicate'],
        ['half', 400, 'stop'],
      ]);
      expect(customIds(await readOutput(client, batch.output_file_id))).toEqual(['good']);
    }));

  it('says what is wrong with a file, line by line, and asks for none of it', () =>
    withServer({ batches: { lines_max: 12, line_bytes_max: 64 * 1024 } }, async ({ client, engine }) => {
      const wrong = [
        { custom_id: 'a' },
        '{nonsense',
        '[]',
        '',
        { custom_id: 'a' },
        { custom_id: '' },
        { custom_id: 'b', method: 'GET' },
        { custom_id: 'c', url: '/v1/embeddings' },
        { custom_id: 'd', body: { stream: true } },
        '{"custom_id":"e"}',
        `"${'x'.repeat(70_000)}"`,
        JSON.stringify({ custom_id: 'f', method: 'POST', url: '/v1/chat/completions', body: {}, more: 1 }),
        `{"custom_id":"g","method":"POST","url":"/v1/chat/completions","body":{"messages":${'['.repeat(30_000)}${']'.repeat(30_000)}}}`,
      ];
      const batch = await ended(client, (await createBatch(client, wrong)).id);
      expect(batch.status).toBe('failed');
      expect(batch.failed_at).toBeGreaterThan(0);
      expect(batch.errors?.data?.map(({ line, code }) => [line, code])).toEqual([
        [2, 'invalid_json_line'],
        [3, 'invalid_json_line'],
        [5, 'duplicate_custom_id'],
        [6, 'invalid_custom_id'],
        [7, 'invalid_method'],
        [8, 'invalid_url'],
        [9, 'invalid_body'],
        [10, 'missing_required_parameter'],
        [11, 'line_too_large'],
        [12, 'unknown_parameter'],
        [13, 'invalid_json_line'],
      ]);
      const codeOf = async (lines: Parameters<typeof createBatch>[1]) =>
        (await ended(client, (await createBatch(client, lines)).id)).errors?.data?.[0]?.code;
      expect([await codeOf(['']), await codeOf(numbered(13)), await codeOf([{ custom_id: 'a\0b' }])]).toEqual([
        'empty_file',
        'too_many_requests',
        'invalid_custom_id',
      ]);
      expect(engine.requests).toHaveLength(0);
    }));

  it('asks no more at once than it may, in the lane of batches', () => {
    let most = 0;
    let running = 0;
    const script = {
      beforeToken: async (index: number) => {
        if (index === 0) most = Math.max(most, (running += 1));
        await new Promise((resolve) => setTimeout(resolve, 1));
        if (index === 5) running -= 1;
      },
    };
    return withServer({ batches: { concurrency: 3 }, script }, async ({ client }) => {
      const batches = await Promise.all([createBatch(client, numbered(20)), createBatch(client, numbered(20))]);
      for (const { id } of batches) expect((await ended(client, id)).request_counts?.completed).toBe(20);
      expect(most).toBe(3);
    });
  });

  it('comes again where there is no room, until there is', () =>
    withServer({ config: { limits: { ...defaultConfig.limits, key: { requests_per_second: 20 } } } }, async ({ gateway, client }) => {
      // Half of each bucket is left to those who wait: ten at once, and more as it drains. Who asks how far it is takes from the same one.
      const { id } = await createBatch(client, numbered(15));
      await until(async () => (await metrics(gateway.url)).includes('autoglm_batches_ended_total{status="completed"} 1'));
      expect((await client.batches.retrieve(id)).request_counts).toEqual({ total: 15, completed: 15, failed: 0 });
    }));

  it('is cancelled at once, and keeps what was answered', () => {
    const gate = createGate();
    let asked = 0;
    const script = {
      beforeToken: (index: number, _: unknown, signal: AbortSignal) =>
        index === 0 && (asked += 1) > 5
          ? Promise.race([
              gate.passed,
              new Promise<void>((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
            ])
          : undefined,
    };
    return withServer({ batches: { concurrency: 2 }, script }, async ({ client, engine }) => {
      const { id } = await createBatch(client, numbered(20));
      await until(async () => (await client.batches.retrieve(id)).request_counts?.completed === 5);
      const cancelling = await client.batches.cancel(id);
      expect(['cancelling', 'cancelled']).toContain(cancelling.status);
      const batch = await ended(client, id);
      expect(batch).toMatchObject({ status: 'cancelled', request_counts: { total: 20, completed: 5, failed: 15 } });
      expect(batch.cancelled_at).toBeGreaterThanOrEqual(batch.cancelling_at as number);
      expect(await readOutput(client, batch.output_file_id)).toHaveLength(5);
      expect((await readOutput(client, batch.error_file_id))[0]).toMatchObject({ response: null, error: { code: 'batch_cancelled' } });
      await until(() => engine.runningCount === 0);
      await expect(client.batches.cancel(id)).rejects.toMatchObject({ status: 409, code: 'batch_not_cancellable' });
    });
  });

  it('ends when its window does', () =>
    withServer(
      {
        script: { beforeToken: (_index, request) => (JSON.stringify(request.prompt).includes('slow') ? new Promise(() => {}) : undefined) },
      },
      async ({ client, gateway }) => {
        const batch = await ended(
          client,
          (await createBatch(client, [{ custom_id: 'quick' }, { custom_id: 'slow' }], '/v1/chat/completions', '1s')).id,
        );
        await until(async () => (await metrics(gateway.url)).includes('autoglm_batches_open{status="in_progress"} 0'));
        const text = await metrics(gateway.url);
        for (const line of [
          'autoglm_batches_ended_total{status="expired"} 1',
          'autoglm_batch_lines_total{outcome="completed"} 1',
          'autoglm_batch_lines_total{outcome="failed"} 1',
          'autoglm_batch_lag_seconds 0',
        ])
          expect(text).toContain(line);
        expect(batch).toMatchObject({ status: 'expired', request_counts: { total: 2, completed: 1, failed: 1 } });
        expect(batch.expired_at).toBeGreaterThan(0);
        expect(await readOutput(client, batch.error_file_id)).toMatchObject([{ custom_id: 'slow', error: { code: 'batch_expired' } }]);
      },
    ));

  it('lists batches newest first, by page, and only to who made them', () =>
    withServer({}, async ({ client, clientOf }) => {
      const ids: string[] = [];
      for (let count = 0; count < 5; count += 1) ids.unshift((await createBatch(client, numbered(1))).id);
      const listed: string[] = [];
      for await (const { id } of client.batches.list({ limit: 2 })) listed.push(id);
      expect(listed).toEqual(ids);
      const stranger = clientOf('two');
      expect((await stranger.batches.list()).data).toEqual([]);
      await expect(stranger.batches.retrieve(ids[0] as string)).rejects.toMatchObject({ status: 404, code: 'batch_not_found' });
      const { input_file_id: fileId } = await client.batches.retrieve(ids[0] as string);
      await expect(
        stranger.batches.create({ input_file_id: fileId, endpoint: '/v1/completions', completion_window: '24h' }),
      ).rejects.toMatchObject({ status: 404, code: 'file_not_found', param: 'input_file_id' });
      await expect(stranger.files.content(fileId)).rejects.toMatchObject({ status: 404 });
    }));

  it('refuses what it cannot do, by the field', () =>
    withServer({ batches: { per_tenant_max: 1 }, script: { loaded: new Promise(() => {}) } }, async ({ client, gateway }) => {
      const input_file_id = await upload(client, jsonl(numbered(1)));
      const create = (more: object) =>
        client.batches.create({ input_file_id, endpoint: '/v1/chat/completions', completion_window: '24h', ...more });
      await expect(create({ endpoint: '/v1/responses' })).rejects.toMatchObject({ status: 400, param: 'endpoint' });
      await expect(create({ completion_window: '9d' })).rejects.toMatchObject({ status: 400, param: 'completion_window' });
      await expect(create({ metadata: { a: 1 } })).rejects.toMatchObject({ status: 400, param: 'metadata' });
      await expect(create({ more: 1 })).rejects.toMatchObject({ status: 400, code: 'unknown_parameter', param: 'more' });
      await expect(create({ input_file_id: 'file-none' })).rejects.toMatchObject({ status: 404, code: 'file_not_found' });
      expect((await create({ metadata: { a: 'b' } })).metadata).toEqual({ a: 'b' });
      await expect(create({})).rejects.toBeInstanceOf(OpenAI.RateLimitError);
      expect((await fetch(`${gateway.url}/v1/batches?limit=0`, { headers: { authorization: 'Bearer one' } })).status).toBe(400);
      expect((await fetch(`${gateway.url}/v1/batches`, { method: 'PUT' })).status).toBe(405);
    }));

  it('a key has a bound of its own, by whatever names it asks', () =>
    withServer(
      { batches: { per_tenant_max: 2, per_key_max: 3, tenant_files_max: 2, key_files_max: 3 }, script: { loaded: new Promise(() => {}) } },
      async ({ gateway, clientOf }) => {
        const named = (tenant: string, apiKey = 'one') =>
          new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey, maxRetries: 0, defaultHeaders: { 'x-autoglm-tenant': tenant } });
        for (const tenant of ['a', 'b', 'c']) await createBatch(named(tenant), numbered(1));
        await expect(upload(named('d'), jsonl(numbered(1)))).rejects.toMatchObject({
          status: 413,
          code: 'storage_limit_exceeded',
          message: expect.stringContaining('batches.key_files_max') as string,
        });
        const [{ id }] = (await named('a').files.list()).data as unknown as [OpenAI.FileObject];
        const again = named('a').batches.create({ input_file_id: id, endpoint: '/v1/chat/completions', completion_window: '24h' });
        await expect(again).rejects.toMatchObject({ status: 429, message: expect.stringContaining('batches.per_key_max') as string });
        await createBatch(clientOf('two'), numbered(1));
      },
    ));

  it.each([
    [1, 3],
    [2, 2],
  ])('where %i keys are configured, a key has room for %i of three files that take a third each', async (keys, room) => {
    const env = { A: 'key-number-a', B: 'key-number-b' };
    const auth = {
      keys: [
        { name: 'a', key_env: 'A' },
        { name: 'b', key_env: 'B' },
      ].slice(0, keys),
    };
    await withServer({ batches: { tenant_bytes_max: 1024, bytes_max: 4600 }, config: { auth }, env }, async ({ gateway }) => {
      const sent = await Promise.allSettled(
        ['1', '2', '3'].map((tenant) =>
          upload(
            new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: env.A, maxRetries: 0, defaultHeaders: { 'x-autoglm-tenant': tenant } }),
            'x'.repeat(1024),
          ),
        ),
      );
      expect(sent.filter(({ status }) => status === 'fulfilled')).toHaveLength(room);
    });
  });

  it('belongs to the key that made it, and ends when that is taken away', async () => {
    using folder = temporaryFolder();
    const file = path.join(folder.path, 'batches.sqlite');
    const env = { A: 'key-number-a', B: 'key-number-b' };
    const auth = {
      keys: [
        { name: 'a', key_env: 'A' },
        { name: 'b', key_env: 'B' },
      ],
    };
    let id: string;
    {
      await using server = await startBatchServer(file, { config: { auth }, env, script: { loaded: new Promise(() => {}) } });
      id = (await createBatch(server.clientOf('key-number-a'), numbered(2))).id;
      await until(async () => (await server.clientOf('key-number-a').batches.retrieve(id)).status === 'in_progress');
      await expect(server.client.batches.retrieve(id)).rejects.toMatchObject({ status: 401 });
    }
    await using server = await startBatchServer(file, {
      config: {
        auth: {
          keys: [
            { name: 'b', key_env: 'B' },
            { name: 'a2', key_env: 'A' },
          ],
        },
      },
      env,
    });
    const batch = await ended(server.clientOf('key-number-a'), id);
    expect(batch.request_counts).toEqual({ total: 2, completed: 0, failed: 2 });
    expect((await readOutput(server.clientOf('key-number-a'), batch.error_file_id))[0]?.response?.status_code).toBe(401);
  });

  it('goes on after a restart, and is given up by a gateway that drains', async () => {
    using folder = temporaryFolder();
    const file = path.join(folder.path, 'batches.sqlite');
    let id: string;
    {
      let tokens = 0;
      await using server = await startBatchServer(file, {
        batches: { lease_ms: 600_000, concurrency: 2 },
        script: { beforeToken: () => ((tokens += 1) > 60 ? new Promise(() => {}) : undefined) },
      });
      id = (await createBatch(server.client, numbered(30))).id;
      await until(async () => ((await server.client.batches.retrieve(id)).request_counts?.completed ?? 0) >= 8);
    }
    await using server = await startBatchServer(file);
    const batch = await ended(server.client, id);
    expect(batch).toMatchObject({ status: 'completed', request_counts: { total: 30, completed: 30, failed: 0 } });
    expect(server.engine.requests.length).toBeLessThanOrEqual(22);
    expect(customIds(await readOutput(server.client, batch.output_file_id))).toEqual(customIds(numbered(30)));
  });

  it('tells where a server without a place for files could have one', () =>
    withServer({}, async () => {
      using folder = temporaryFolder();
      await using server = await startBatchServer(path.join(folder.path, 'x'), { batches: { sqlite_path: undefined } as never });
      await expect(server.client.batches.list()).rejects.toMatchObject({
        status: 404,
        message: expect.stringContaining('batches: {sqlite_path') as string,
      });
    }));
});
