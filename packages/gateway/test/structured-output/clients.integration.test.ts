import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateObject, generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai';
import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defaultConfig, startGateway, type Gateway } from '../../src/main.ts';

const booking = z.object({
  地点: z.string().max(12),
  小时: z.number().int().min(0).max(23),
  车型: z.enum(['轿车', '越野车']),
  备注: z.string().max(8).nullable(),
});
const messages = [{ role: 'user' as const, content: '明天下午三点在国贸店洗车。' }];
const parameters = {
  type: 'object',
  properties: { city: { type: 'string', maxLength: 10 }, days: { type: 'integer', minimum: 1, maximum: 7 } },
  required: ['city', 'days'],
  additionalProperties: false,
};
const weather = { type: 'function' as const, function: { name: 'weather', description: '查询天气', parameters } };

describe('clients, unchanged, with the default model', () => {
  let gateway: Gateway;
  let client: OpenAI;
  const provider = () =>
    createOpenAICompatible({ name: 'open-autoglm', baseURL: `${gateway.url}/v1`, includeUsage: true, supportsStructuredOutputs: true })(
      'default',
    );
  beforeAll(async () => {
    const config = {
      ...defaultConfig,
      server: { ...defaultConfig.server, port: 0, drain_timeout_ms: 200 },
      model_config: { ...defaultConfig.model_config, context_length: 2048, threads: 1 },
    };
    gateway = await startGateway({ config });
    client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'none', maxRetries: 0 });
  }, 60_000);
  afterAll(() => gateway.drain());

  it('openai: parse gives objects that satisfy their schema, for each choice', async () => {
    const answer = await client.chat.completions.parse({
      model: 'default',
      messages,
      n: 3,
      seed: 1,
      max_tokens: 200,
      response_format: zodResponseFormat(booking, 'booking'),
    });
    expect(answer.choices.map(({ message, finish_reason: reason }) => [booking.safeParse(message.parsed).success, reason])).toEqual([
      [true, 'stop'],
      [true, 'stop'],
      [true, 'stop'],
    ]);
  });

  it('openai: json_object is an object', async () => {
    for (const seed of [1, 2, 3]) {
      const {
        choices: [choice],
      } = await client.chat.completions.create({
        model: 'default',
        messages,
        seed,
        max_tokens: 60,
        response_format: { type: 'json_object' },
      });
      expect(choice?.message.content?.startsWith('{')).toBe(true);
      if (choice?.finish_reason === 'stop') expect(JSON.parse(choice.message.content ?? '')).toBeTypeOf('object');
      else expect(choice?.finish_reason).toBe('length');
    }
  });

  it('openai: a stream tells a call in pieces, and its result goes back in', async () => {
    const stream = client.chat.completions.stream({
      model: 'default',
      messages,
      seed: 1,
      max_tokens: 120,
      tools: [weather],
      tool_choice: 'required',
      parallel_tool_calls: false,
    });
    const called = (await stream.finalChatCompletion()).choices[0];
    const call = called?.message.tool_calls?.[0];
    expect(called?.finish_reason).toBe('tool_calls');
    expect(call?.type === 'function' && JSON.parse(call.function.arguments)).toEqual({
      city: expect.any(String),
      days: expect.any(Number),
    });
    const next = await client.chat.completions.create({
      model: 'default',
      max_tokens: 8,
      messages: [
        ...messages,
        called?.message as OpenAI.ChatCompletionMessage,
        { role: 'tool', tool_call_id: call?.id ?? '', content: '晴' },
      ],
      tools: [weather],
      tool_choice: 'none',
    });
    expect(next.choices[0]?.message.content).not.toBe('');
  });

  it('openai: runTools calls the function that was named, and goes on with its result', async () => {
    const asked: unknown[] = [];
    const runner = client.chat.completions.runTools(
      {
        model: 'default',
        messages,
        seed: 3,
        max_tokens: 120,
        tool_choice: { type: 'function', function: { name: 'weather' } },
        parallel_tool_calls: false,
        tools: [
          { type: 'function', function: { ...weather.function, parse: JSON.parse, function: (args: unknown) => (asked.push(args), '晴') } },
        ],
      },
      { maxChatCompletions: 1 },
    );
    await runner.done();
    expect(asked).toEqual([{ city: expect.any(String), days: expect.any(Number) }]);
  });

  it('refuses a schema that it cannot hold to, before the answer, by the field', async () => {
    const schema = { type: 'object', properties: { a: { type: 'string', contentEncoding: 'base64' } } };
    await expect(
      client.chat.completions.create({
        model: 'default',
        messages,
        stream: true,
        response_format: { type: 'json_schema', json_schema: { name: 'a', schema, strict: false } },
      }),
    ).rejects.toMatchObject({
      status: 400,
      code: 'invalid_value',
      param: 'response_format.json_schema.schema.properties.a.contentEncoding',
    });
    await expect(
      client.chat.completions.create({
        model: 'default',
        messages,
        tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object', not: {} } } }],
      }),
    ).rejects.toMatchObject({ status: 400, param: 'tools[0].function.parameters.not' });
  });

  it('Vercel AI SDK: generateObject', async () => {
    const { object } = await generateObject({
      model: provider(),
      prompt: '介绍一种水果',
      seed: 1,
      maxOutputTokens: 200,
      schema: z.object({
        名称: z.string().max(10),
        颜色: z
          .array(z.enum(['红', '黄', '绿']))
          .min(1)
          .max(3),
      }),
    });
    expect(object).toEqual({ 名称: expect.any(String), 颜色: expect.any(Array) });
  });

  it('Vercel AI SDK: tools, whole and streamed', async () => {
    const asked: unknown[] = [];
    const tools = {
      weather: tool({
        description: '查询天气',
        inputSchema: jsonSchema(parameters as Parameters<typeof jsonSchema>[0]),
        execute: async (input: unknown) => (asked.push(input), '晴'),
      }),
    };
    const settings = {
      model: provider(),
      prompt: '北京明天天气如何？',
      tools,
      toolChoice: 'required' as const,
      stopWhen: stepCountIs(1),
      seed: 1,
      maxOutputTokens: 800,
      maxRetries: 0,
    };
    const whole = await generateText(settings);
    expect(whole.toolCalls.length).toBeGreaterThan(0);
    const streamed = streamText(settings);
    expect((await streamed.toolCalls).length).toBe(whole.toolCalls.length);
    expect(await streamed.finishReason).toBe('tool-calls');
    expect(asked.length).toBe(2 * whole.toolCalls.length);
  });
});
