import fc from 'fast-check';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defaultConfig, startGateway, type Gateway } from '../../src/main.ts';

interface Fitted {
  readonly fitted?: { readonly prompt_tokens_before: number; readonly prompt_tokens: number; readonly prompt_tokens_max: number };
}

const people = ['王芳', '李强', '张敏', '刘洋'];
const things = ['钢琴', '帆船', '望远镜', '自行车'];
const filler = [
  '春天的早晨，街角的面包店六点钟就开门了。',
  '下雨的时候，街上的行人少了，他就坐在窗边看书。',
  'The ferry leaves at noon from the old pier. ',
  '河边的柳树已经发芽，孩子们在草地上放风筝。',
  '👩‍👩‍👧‍👦 e\u0301 <|im_end|>\n',
  '\n```ts\nconst a = 1;\n```\n',
  '冬天要等四个小时，夏天两个小时就够了。',
];

describe('fit, with the default model', () => {
  let gateway: Gateway;
  let client: OpenAI;
  const ask = async (messages: OpenAI.ChatCompletionMessageParam[], fit: unknown, max = 8) => {
    const answer = await client.chat.completions.create({
      model: 'default',
      messages,
      max_tokens: max,
      temperature: 0,
      autoglm: { fit },
    } as OpenAI.ChatCompletionCreateParamsNonStreaming);
    return { answer, used: answer.usage?.prompt_tokens ?? 0, ...(answer as unknown as { autoglm: Fitted }).autoglm };
  };
  beforeAll(async () => {
    const config = {
      ...defaultConfig,
      server: { ...defaultConfig.server, port: 0, drain_timeout_ms: 200 },
      model_config: { ...defaultConfig.model_config, context_length: 1024, threads: 1 },
    };
    gateway = await startGateway({ config });
    client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'none', maxRetries: 0 });
  }, 60_000);
  afterAll(() => gateway.drain());

  it('counts as the engine reads, and never exceeds what it may have', async () => {
    const content = fc.array(fc.constantFrom(...filler), { minLength: 1, maxLength: 40 }).map((parts) => parts.join(''));
    const turns = fc.array(fc.tuple(content, content), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(turns, fc.integer({ min: 120, max: 900 }), async (exchanges, promptTokensMax) => {
        const messages = [
          ...exchanges.flatMap(([user, assistant]) => [
            { role: 'user' as const, content: user },
            { role: 'assistant' as const, content: assistant },
          ]),
          { role: 'user' as const, content: '再见' },
        ];
        const { fitted, used } = await ask(messages, { prompt_tokens_max: promptTokensMax }, 1);
        expect(used).toBeLessThanOrEqual(promptTokensMax);
        // One more: the token that prompts of some models begin with.
        if (fitted) expect(fitted.prompt_tokens).toBeLessThanOrEqual(used + 1);
      }),
      { numRuns: 10 },
    );
  });

  it('answers from what it kept, where the oldest had gone first', async () => {
    const text = Array.from({ length: 120 }, (_, index) => filler[(index * 5) % 4]).join('');
    for (const [index, person] of people.entries()) {
      const messages: OpenAI.ChatCompletionMessageParam[] = [
        { role: 'user', content: `${person}最喜欢的东西是${things[index]}。${text}` },
        { role: 'assistant', content: '好的。' },
        { role: 'user', content: `请问，${person}最喜欢的东西是什么？` },
      ];
      await expect(ask(messages, false)).rejects.toMatchObject({ status: 400, code: 'context_length_exceeded' });
      const { answer, fitted } = await ask(messages, { prompt_tokens_max: 160 }, 32);
      expect(fitted?.prompt_tokens_before).toBeGreaterThan(1024);
      expect(answer.choices[0]?.message.content).toContain(things[index]);
    }
  });

  it('streams the note at the end', async () => {
    const stream = await client.chat.completions.create({
      model: 'default',
      stream: true,
      max_tokens: 4,
      messages: [{ role: 'user', content: filler.join('').repeat(20) }],
      autoglm: { fit: true },
    } as OpenAI.ChatCompletionCreateParamsStreaming);
    let last: unknown;
    for await (const chunk of stream) last = chunk;
    expect((last as { autoglm: Fitted }).autoglm.fitted).toMatchObject({ prompt_tokens_max: 1020 });
  });
});
