import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startEmbeddingServer, type EmbeddingServer } from '../embeddings/support.ts';
import { sendJson, startFakeBackend, fakeModel } from '../upstream/fake-backend.ts';
import { startRemoteGateway } from '../upstream/support.ts';

const body = { model: 'mock-embeddings', input: ['aaab', 'ccc'], labels: ['a', 'c'] };

interface Answer {
  readonly data: readonly {
    readonly index: number;
    readonly label: string;
    readonly probs: readonly number[];
    readonly num_classes: number;
  }[];
  readonly usage: { readonly prompt_tokens: number };
  readonly autoglm: { readonly zero_shot: { readonly temperature: number } };
}

describe('POST /v1/classify by a model that makes embeddings', () => {
  let server: EmbeddingServer;
  beforeAll(async () => {
    server = await startEmbeddingServer();
  });
  afterAll(() => server[Symbol.asyncDispose]());
  const classify = (asked: object, headers: Record<string, string> = {}) =>
    fetch(`${server.url}/v1/classify`, {
      method: 'POST',
      body: JSON.stringify(asked),
      headers: { 'content-type': 'application/json', ...headers },
    });
  const answered = async (asked: object) => (await (await classify(asked)).json()) as Answer;

  it('says which label each text is most like, how much, and that it is zero-shot', async () => {
    const response = await classify(body);
    expect(response.status).toBe(200);
    expect(response.headers.get('server-timing')).toContain('prefill;dur=');
    const { data, usage, autoglm } = (await response.json()) as Answer;
    expect(data).toMatchObject([
      { index: 0, label: 'a', num_classes: 2 },
      { index: 1, label: 'c', num_classes: 2 },
    ]);
    for (const { probs } of data) expect(probs.reduce((sum, prob) => sum + prob, 0)).toBeCloseTo(1);
    // Labels are read, too.
    expect(usage.prompt_tokens).toBe(9);
    expect(autoglm.zero_shot).toEqual({ temperature: 0.05 });
    // Cosines with 'a' and 'c' are 3 ⁄ √10 and 0: the mock counts characters.
    const cosine = 3 / Math.sqrt(10);
    const [first] = (await answered({ ...body, temperature: 2 })).data;
    expect(first?.probs[0]).toBeCloseTo(Math.exp(cosine / 2) / (Math.exp(cosine / 2) + 1), 5);
  });

  it('orders the classes alike at any temperature', async () => {
    for (const temperature of [0.001, 0.05, 100])
      expect((await answered({ ...body, temperature })).data.map(({ label }) => label)).toEqual(['a', 'c']);
  });

  it('is of the lane that the client chose, and one list to the engine', async () => {
    await classify({ ...body, autoglm: { lane: 'batch' } });
    expect(server.engine.requests.at(-1)).toMatchObject({ inputs: ['a', 'c', 'aaab', 'ccc'], lane: 'batch' });
  });

  it.each([
    ['no labels', { labels: undefined }, { code: 'missing_parameter', param: 'labels' }],
    ['one label', { labels: ['a'] }, { code: 'invalid_value', param: 'labels' }],
    ['a label twice', { labels: ['a', 'b', 'a'] }, { code: 'invalid_value', param: 'labels' }],
    ['no input', { input: undefined }, { code: 'missing_parameter', param: 'input' }],
    ['too many texts with their labels', { input: new Array(2047).fill('a') }, { code: 'invalid_value', param: 'input' }],
    ['a temperature of nothing', { temperature: 0 }, { code: 'invalid_value', param: 'temperature' }],
    ['an unknown field', { top_k: 1 }, { code: 'unknown_parameter', param: 'top_k' }],
    ['a label that is too long for the model', { labels: ['a', 'x'.repeat(65)] }, { code: 'context_length_exceeded', param: 'labels[1]' }],
    [
      'a text that is too long',
      { input: ['a', 'x'.repeat(65)] },
      { code: 'context_length_exceeded', param: 'input[1]', message: expect.stringContaining("'input[1]'") },
    ],
    [
      'a lone text that is too long',
      { input: 'x'.repeat(65) },
      { code: 'context_length_exceeded', param: 'input', message: expect.stringContaining("'input'") },
    ],
  ])('refuses %s, naming the field', async (_, changes, error) => {
    const response = await classify({ ...body, ...changes });
    expect([response.status, await response.json()]).toMatchObject([400, { error }]);
  });

  it('is not by a model that writes text, and not by GET', async () => {
    const response = await classify({ ...body, model: 'default' });
    expect([response.status, await response.json()]).toMatchObject([404, { error: { code: 'model_not_found' } }]);
    const read = await fetch(`${server.url}/v1/classify`);
    expect([read.status, read.headers.get('allow')]).toEqual([405, 'POST']);
  });

  it.each([
    ['of different lengths', '[1, 0, 0]'],
    ['without an end', '[1e300, 0]'],
    ['of zeros', '[0, 0]'],
    ['of nothing', '[]'],
  ])('says that there are no classes where a vector is %s', async (_, vector) => {
    await using backend = await startFakeBackend((response) =>
      sendJson(
        response,
        200,
        `{"data": [${['[1, 0]', '[0, 1]', '[1, 1]', vector].map((embedding) => `{"embedding": ${embedding}}`).join()}]}`,
      ),
    );
    await using gateway = await startRemoteGateway([backend.url]);
    const response = await gateway.post('/v1/classify', { ...body, model: fakeModel });
    expect([response.status, await response.json()]).toMatchObject([
      502,
      { error: { code: 'upstream_error', message: expect.stringMatching(/fake-/) } },
    ]);
  });

  it('takes the embeddings of another server that classifies none itself, of whatever length', async () => {
    await using backend = await startFakeBackend((response, { body: asked }) => {
      const data = (asked['input'] as string[]).map((text, index) => ({ index, embedding: text.startsWith('a') ? [3, 0] : [0.1, 0.9] }));
      sendJson(response, 200, { data, usage: { prompt_tokens: 4 } });
    });
    await using gateway = await startRemoteGateway([backend.url]);
    const { data } = (await (
      await gateway.post('/v1/classify', { ...body, model: fakeModel }, { headers: { 'x-request-id': 'mine' } })
    ).json()) as Answer;
    expect(data.map(({ label }) => label)).toEqual(['a', 'c']);
    expect(backend.requests[0]).toMatchObject({
      path: '/v1/embeddings',
      headers: { 'x-request-id': 'mine' },
      body: { model: fakeModel, input: ['a', 'c', 'aaab', 'ccc'] },
    });
    const refused = await gateway.post('/v1/classify', { model: fakeModel, input: 'a' });
    expect([refused.status, await refused.json()]).toMatchObject([
      400,
      { error: { code: 'missing_parameter', param: 'labels', message: expect.stringContaining('classify_path') } },
    ]);
  });
});
