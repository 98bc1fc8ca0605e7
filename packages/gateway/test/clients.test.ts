import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, streamText } from 'ai';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from './support.ts';

describe('clients, unchanged', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer();
  });
  afterAll(() => server[Symbol.asyncDispose]());
  const messages = [{ role: 'user' as const, content: '你好' }];

  it('openai: chat, stream, completions, models', async () => {
    const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
    const answer = await client.chat.completions.create({ model: 'default', messages });
    expect(answer.choices[0]?.message.content).toBe('你好，世界！');
    let text = '';
    let usage: OpenAI.CompletionUsage | null | undefined;
    for await (const chunk of await client.chat.completions.create({
      model: 'default',
      messages,
      stream: true,
      stream_options: { include_usage: true },
    })) {
      text += chunk.choices[0]?.delta.content ?? '';
      usage = chunk.usage ?? usage;
    }
    expect({ text, tokens: usage?.completion_tokens }).toEqual({ text: '你好，世界！', tokens: 6 });
    const unasked = client.chat.completions.stream({ model: 'default', messages });
    expect(await unasked.finalContent()).toBe('你好，世界！');
    expect((await client.completions.create({ model: 'default', prompt: 'a', max_tokens: 2 })).choices[0]?.text).toBe('你好');
    expect((await client.models.list()).data.map(({ id }) => id)).toEqual(['default']);
    await expect(client.chat.completions.create({ model: 'gpt', messages })).rejects.toMatchObject({
      status: 404,
      code: 'model_not_found',
      param: 'model',
    });
  });

  it('Vercel AI SDK: text and stream', async () => {
    const provider = createOpenAICompatible({ name: 'open-autoglm', baseURL: `${server.url}/v1`, includeUsage: true });
    const whole = await generateText({ model: provider('default'), prompt: '你好' });
    expect(whole.text).toBe('你好，世界！');
    const streamed = streamText({ model: provider('default'), prompt: '你好' });
    let text = '';
    for await (const delta of streamed.textStream) text += delta;
    expect(text).toBe('你好，世界！');
    expect((await streamed.usage).outputTokens).toBe(6);
  });
});
