import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { cosineSimilarity, embed, embedMany } from 'ai';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startEmbeddingServer, type EmbeddingServer } from './support.ts';

describe('clients of embeddings, unchanged', () => {
  let server: EmbeddingServer;
  beforeAll(async () => {
    server = await startEmbeddingServer();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it('openai: by its own base64, and by floats', async () => {
    const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
    const [own, floats] = await Promise.all(
      [undefined, 'float' as const].map((format) =>
        client.embeddings.create({ model: 'mock-embeddings', input: ['hello', 'world'], ...(format && { encoding_format: format }) }),
      ),
    );
    expect(own?.data.map(({ index }) => index)).toEqual([0, 1]);
    expect(own?.data[1]?.embedding.map(Math.fround)).toEqual(floats?.data[1]?.embedding.map(Math.fround));
    expect(own?.usage).toEqual({ prompt_tokens: 10, total_tokens: 10 });
    await expect(client.embeddings.create({ model: 'other', input: 'a' })).rejects.toMatchObject({
      status: 404,
      code: 'model_not_found',
      param: 'model',
    });
    expect((await client.models.list()).data.map(({ id }) => id)).toEqual(['default', 'mock-embeddings']);
  });

  it('Vercel AI SDK: one and many', async () => {
    const provider = createOpenAICompatible({ name: 'open-autoglm', baseURL: `${server.url}/v1` });
    const model = provider.embeddingModel('mock-embeddings');
    const { embedding } = await embed({ model, value: 'hello' });
    const { embeddings, usage } = await embedMany({ model, values: ['hello', 'other', 'olleh'] });
    expect(embeddings).toHaveLength(3);
    expect(cosineSimilarity(embedding, embeddings[2] as number[])).toBeCloseTo(1, 6);
    expect(usage.tokens).toBe(15);
  });
});
