import { randomBytes } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { brotliCompressSync, constants, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chatBody, startTestServer, until, type TestServer } from '../support.ts';

const limitBytes = 1_000_000;
let server: TestServer;
beforeAll(async () => (server = await startTestServer({}, { body_limit_bytes: limitBytes })));
afterAll(() => server.gateway.drain());

const json = (body: unknown) => Buffer.from(JSON.stringify(body));
const send = (bytes: Uint8Array, encoding: string, path = '/v1/chat/completions') =>
  server.post(path, bytes, { headers: { 'content-encoding': encoding } });
const errorOf = async (response: Response) => ({
  status: response.status,
  ...((await response.json()) as { error: { code: string; message: string } }).error,
});
const zeros = (bytes: number) => Buffer.alloc(bytes, '0');

describe('bodies that come packed', () => {
  it.each([
    ['gzip', gzipSync],
    ['x-gzip', gzipSync],
    ['GZIP', gzipSync],
    ['deflate', deflateSync],
    ['deflate', deflateRawSync],
    ['br', brotliCompressSync],
    ['zstd', zstdCompressSync],
    ['identity', (bytes: Buffer) => bytes],
  ])('%s are read', async (encoding, pack) => {
    const content = `${'很长的故事'.repeat(2000)}${encoding}`;
    const response = await send(pack(json({ ...chatBody, messages: [{ role: 'user', content }] })), encoding);
    expect(response.status).toBe(200);
    await response.text();
    expect(JSON.stringify(server.engine.requests.at(-1)?.prompt)).toContain(content);
  });

  it('many small ones at once are all answered, each with its own words', async () => {
    const words = Array.from({ length: 60 }, (_, index) => `word-${index}-`);
    const before = server.engine.requests.length;
    const statuses = await Promise.all(
      words.map(async (content, index) => {
        const pack = [gzipSync, brotliCompressSync, zstdCompressSync][index % 3] as typeof gzipSync;
        const response = await send(
          pack(json({ ...chatBody, messages: [{ role: 'user', content }] })),
          ['gzip', 'br', 'zstd'][index % 3] as string,
        );
        await response.text();
        return response.status;
      }),
    );
    expect(new Set(statuses)).toEqual(new Set([200]));
    const prompts = server.engine.requests.slice(before).map(({ prompt }) => JSON.stringify(prompt));
    for (const word of words) expect(prompts.filter((prompt) => prompt.includes(word)).length).toBe(1);
  });

  it('are refused where they are not what they say, and their neighbours are not', async () => {
    const good = gzipSync(json(chatBody));
    const bad = [Buffer.from('not packed'), good.subarray(0, good.length - 12), Buffer.alloc(0), randomBytes(100)];
    const answers = await Promise.all([...bad, good].map((bytes) => send(bytes, 'gzip')));
    expect(answers.map(({ status }) => status)).toEqual([400, 400, 400, 400, 200]);
    expect(await errorOf(answers[0] as Response)).toMatchObject({
      code: 'invalid_value',
      message: expect.stringMatching(/^The body is not valid gzip: /),
    });
    for (const encoding of ['br', 'zstd', 'deflate'])
      expect(await errorOf(await send(Buffer.from('{"a": 1}'), encoding))).toMatchObject({ status: 400, code: 'invalid_value' });
    expect(await errorOf(await send(gzipSync('{"a": '), 'gzip'))).toMatchObject({ status: 400, code: 'invalid_json' });
  });

  it('are refused with 413 where they unpack to more than the limit, however small they are', async () => {
    const bombs = [
      ['gzip', gzipSync(zeros(20_000_000), { level: 9 })],
      ['br', brotliCompressSync(zeros(limitBytes + 1), { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } })],
      ['zstd', zstdCompressSync(zeros(20_000_000))],
      ['deflate', deflateSync(zeros(10_000_000))],
    ] as const;
    expect(bombs[2][1].length).toBeLessThan(16_000);
    const answers = await Promise.all(bombs.map(([encoding, bytes]) => send(bytes, encoding)));
    for (const answer of answers)
      expect(await errorOf(answer)).toMatchObject({
        status: 413,
        code: 'payload_too_large',
        message: expect.stringContaining('when it is unpacked'),
      });
    expect((await send(gzipSync(json(chatBody)), 'gzip')).status).toBe(200);
  });

  it('of another kind are refused with what is taken', async () => {
    expect(await errorOf(await send(json(chatBody), 'compress'))).toMatchObject({
      status: 415,
      message: 'The body\'s content-encoding is "compress"; this server takes one of gzip, deflate, br, zstd, or identity.',
    });
    expect((await send(gzipSync(gzipSync(json(chatBody))), 'gzip, gzip')).status).toBe(415);
  });

  it('are read for embeddings and for sessions, too', async () => {
    const session = await send(zstdCompressSync(json(chatBody)), 'zstd', '/v1/sessions');
    expect(session.status).toBe(201);
    const embeddings = await send(gzipSync(json({ model: 'none', input: 'a' })), 'gzip', '/v1/embeddings');
    expect(embeddings.status).toBe(404);
  });

  it('let go of everything when their client leaves', async () => {
    const { port } = server.gateway;
    const large = gzipSync(randomBytes(700_000));
    await Promise.all(
      Array.from(
        { length: 20 },
        () =>
          new Promise<void>((resolve) => {
            const call = httpRequest({
              port,
              method: 'POST',
              path: '/v1/chat/completions',
              headers: { 'content-type': 'application/json', 'content-encoding': 'gzip', 'content-length': large.length },
            });
            call.once('error', () => resolve());
            call.end(large, () => setImmediate(() => call.destroy(new Error('left'))));
          }),
      ),
    );
    await until(async () => {
      const text = await (await fetch(`${server.url}/metrics`)).text();
      return ['collect', 'buffer', 'preprocess', 'hand_over'].every((step) =>
        text.includes(`autoglm_input_step_depth{step="${step}"} 0\n`),
      );
    });
  });

  it('are told in metrics, by step', async () => {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    for (const step of ['collect', 'buffer', 'preprocess', 'hand_over']) {
      expect(text).toMatch(new RegExp(`autoglm_input_step_seconds_count\\{step="${step}"\\} [1-9]`));
      expect(text).toMatch(new RegExp(`autoglm_input_step_items_total\\{step="${step}",end="done"\\} [1-9]`));
    }
    expect(text).toMatch(/autoglm_input_step_items_total\{step="preprocess",end="failed"\} [1-9]/);
  });
});
