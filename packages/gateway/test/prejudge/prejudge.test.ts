import OpenAI from 'openai';
import type { GatewayRequest, StreamPart } from '@open-autoglm/protocol';
import { describe, expect, it } from 'vitest';
import { InFlight } from '../../src/prejudge/in-flight.ts';
import { createPrejudgeStage } from '../../src/prejudge/prejudge-stage.ts';
import { RuleSet } from '../../src/prejudge/rule-set.ts';
import { ConfigError } from '../../src/main.ts';
import { createGate, until } from '../support.ts';
import { startRuledServer } from './support.ts';

const refuseX = { name: 'no-x', find: { literals: ['xxx'] }, refuse: {} };
const errorOf = async (response: Response) => ({
  status: response.status,
  ...((await response.json()) as { error: Record<string, unknown> }).error,
});

describe('prejudge', () => {
  it('refuses with the rule, the field and a status of the rule', async () => {
    await using server = await startRuledServer([
      { name: 'empty', empty: true, refuse: {} },
      { name: 'large', larger_than: { characters: 100, messages: 3 }, refuse: { message: 'Too much.' } },
      { ...refuseX, refuse: { status: 422 } },
      { name: 'system', find: { literals: ['yyy'], in: ['system'] }, refuse: {} },
    ]);
    expect(await errorOf(await server.ask(' '))).toMatchObject({
      status: 422,
      code: 'request_unprocessable',
      param: 'messages',
      message: expect.stringContaining('(rule "empty")'),
    });
    expect(await errorOf(await server.ask('z'.repeat(101)))).toMatchObject({
      status: 413,
      code: 'payload_too_large',
      message: 'Too much. (rule "large")',
    });
    const messages = [
      { role: 'user', content: 'yyy' },
      { role: 'assistant', content: 'xxx' },
      { role: 'user', content: 'ＸＸＸ' },
    ];
    expect(await errorOf(await server.ask('', { messages }))).toMatchObject({
      status: 422,
      code: 'request_unprocessable',
      param: 'messages[2].content',
    });
    expect(await errorOf(await server.ask('', { messages: [{ role: 'system', content: 'yyy' }, ...messages.slice(0, 1)] }))).toMatchObject({
      status: 403,
      code: 'request_refused',
      param: 'messages[0].content',
    });
    expect(
      await errorOf(await server.ask('', { messages: [...messages, ...messages].map((message) => ({ ...message, content: 'z' })) })),
    ).toMatchObject({ status: 413 });
    const completion = await fetch(`${server.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'default', prompt: ['a', 'xxx'] }),
    });
    expect(await errorOf(completion)).toMatchObject({ status: 422, param: 'prompt[1]' });
    expect(await errorOf(await server.ask('xxx', { stream: true }))).toMatchObject({ status: 422 });
    expect(server.engine.requests).toEqual([]);
    expect(await server.metrics('autoglm_rules_met_total')).toContain('autoglm_rules_met_total{rule="no-x",verdict="refuse"} 3');
  });

  it('answers by itself, whole and streamed, as OpenAI’s client reads it', async () => {
    await using server = await startRuledServer([
      { name: 'hello', find: { literals: ['你好'], in: ['last'], whole: true, on: 'letters' }, answer: '您好！' },
    ]);
    const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none' });
    const asked = { model: 'default', n: 2, messages: [{ role: 'user' as const, content: '你好！' }] };
    const whole = await client.chat.completions.create(asked);
    expect(whole.choices.map(({ message, finish_reason: reason }) => [message.content, reason])).toEqual([
      ['您好！', 'stop'],
      ['您好！', 'stop'],
    ]);
    expect(whole.usage).toMatchObject({ prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 });
    expect(whole).toMatchObject({ autoglm: { prejudge: { rules: ['hello'] } } });
    let text = '';
    let usage: unknown;
    for await (const chunk of await client.chat.completions.create({
      ...asked,
      n: 1,
      stream: true,
      stream_options: { include_usage: true },
    })) {
      text += chunk.choices[0]?.delta.content ?? '';
      usage = chunk.usage ?? usage;
    }
    expect([text, usage]).toMatchObject(['您好！', { total_tokens: 0 }]);
    expect(server.engine.requests).toEqual([]);
    expect(await server.metrics('autoglm_segment_duration_seconds_count{model_name="default",segment="prejudge"}')).toEqual([
      'autoglm_segment_duration_seconds_count{model_name="default",segment="prejudge"} 2',
    ]);
  });

  it.each([
    ['a form', { response_format: { type: 'json_object' } }],
    ['logprobs', { logprobs: true }],
    ['a call', { tools: [{ type: 'function', function: { name: 'f' } }], tool_choice: 'required' }],
    ['a stop string', { stop: '好' }],
    ['a map of attention', { autoglm: { attention: true } }],
  ])('leaves the answer to the model where the client asked for %s', async (_, more) => {
    const attention = { observedTokens: 1, droppedTokens: 0, answerWeight: 1, blocks: [] };
    await using server = await startRuledServer([{ name: 'hello', find: { literals: ['hi'] }, answer: 'x' }], { attention });
    await (await server.ask('hi', more)).text();
    expect(server.engine.requests.length).toBe(1);
  });

  it('answers in the name of no model that is not there', async () => {
    await using server = await startRuledServer([{ name: 'hello', find: { literals: ['hi'] }, answer: 'x' }]);
    expect(await errorOf(await server.ask('hi', { model: 'gpt-4' }))).toMatchObject({
      status: 404,
      code: 'model_not_found',
      param: 'model',
    });
    expect((await server.ask('hi')).status).toBe(200);
  });

  it('answers no prompt by what another one says', async () => {
    const rules = await RuleSet.compile(
      'r',
      JSON.stringify({ rules: [{ name: 'hello', find: { literals: ['hi'], whole: true }, answer: 'x' }] }),
      1000,
    );
    const met = (...prompts: string[]) => rules.judge({ ...base, input: { kind: 'completion', prompts } }, false).met.length;
    expect([met('hi'), met('hi', 'What is the weather?'), met('What is the weather?', 'hi')]).toEqual([1, 0, 0]);
  });

  it('labels what goes on, tells the client, and sets the lane', async () => {
    const rules = await RuleSet.compile(
      'r',
      JSON.stringify({
        rules: [
          { name: 'zh', script: { name: 'han', share: 0.3 }, label: { language: 'zh', lane: 'batch' } },
          { name: 'any', find: { patterns: ['.'] }, label: { language: 'xx', tier: 'cloud' } },
          { name: 'seen', find: { literals: ['字'] }, refuse: {}, watch: true },
        ],
      }),
      1000,
    );
    const seen: GatewayRequest[] = [];
    const stage = createPrejudgeStage({ current: rules }, { find: () => {} });
    const events: unknown[] = [];
    for await (const _ of stage(
      { ...base, input: chat('汉字'), emit: (event) => events.push(event) },
      (request) => (seen.push(request), none()),
    ))
      void _;
    expect(seen).toMatchObject([{ lane: 'batch', labels: { language: 'zh', lane: 'batch', tier: 'cloud' } }]);
    expect(events).toMatchObject([
      { type: 'rule-met', rule: 'zh', verdict: 'label', isWatched: false },
      { rule: 'any' },
      { rule: 'seen', verdict: 'refuse', isWatched: true },
      { type: 'answer-note', name: 'prejudge', value: { rules: ['zh', 'any'], labels: { language: 'zh' } } },
      { type: 'segment-end', segment: 'prejudge' },
    ]);
  });

  it('says what it did not look through', async () => {
    const rules = await RuleSet.compile('r', JSON.stringify({ rules: [refuseX] }), 10);
    const judge = (...contents: string[]) => rules.judge({ ...base, input: chat(...contents) }, false);
    expect(judge('xxx', 'b'.repeat(10))).toMatchObject({ met: [], unscanned: 3 });
    expect(judge('xxx', 'b'.repeat(6))).toMatchObject({ met: [{ param: 'messages[0].content' }], unscanned: 0 });
    expect(judge(`xxx${'b'.repeat(20)}`)).toMatchObject({ met: [{ param: 'messages[0].content' }], unscanned: 13 });
    expect(judge(`${'b'.repeat(20)}xxx`)).toMatchObject({ met: [{ param: 'messages[0].content' }] });
  });

  it('refuses for what stands in a document, and answers and labels for the question alone', async () => {
    const rules = [
      { name: 'greeting', find: { literals: ['hello'] }, label: { greets: 'yes' } },
      { name: 'hours', find: { literals: ['hours'] }, answer: 'From 9 to 5.' },
      { name: 'secret', find: { on: 'text', in: ['user'], literals: ['sk-123'] }, refuse: {} },
    ];
    const judged = await RuleSet.compile('r', JSON.stringify({ rules }), 1000);
    const judge = (content: string, ...texts: readonly { text: string; title?: string }[]) =>
      judged.judge({ ...base, input: chat('earlier', content), documents: { mode: 'embed', texts } }, false);
    expect(judge('a', { text: 'hello' }, { text: 'our hours' }, { text: 'b sk-123' }).met).toMatchObject([
      { rule: { name: 'secret' }, param: 'autoglm.documents.texts[2]' },
    ]);
    expect(judge('a', { text: 'b', title: 'sk-123' }).met).toMatchObject([{ param: 'autoglm.documents.texts[0]' }]);
    expect(judge('sk-123', { text: 'sk-123' }).met).toMatchObject([{ param: 'messages[1].content' }]);
    expect(judge('hello', { text: 'hello, our hours' }).met).toMatchObject([{ rule: { name: 'greeting' }, param: 'messages[1].content' }]);
    expect(judge('a'.repeat(1000), { text: 'sk-123' })).toMatchObject({ met: [], unscanned: 13 });
    await using server = await startRuledServer(rules);
    expect(await errorOf(await server.ask('a', { autoglm: { documents: { mode: 'embed', texts: ['sk-123'] } } }))).toMatchObject({
      status: 403,
      code: 'request_refused',
      param: 'autoglm.documents.texts[0]',
    });
  });

  it('refuses the same request of the same tenant while the first is under way, and only then', async () => {
    const gate = createGate();
    await using server = await startRuledServer([{ name: 'twice', duplicate: true, refuse: {} }], { beforeToken: () => gate.passed });
    const first = server.ask('a', { temperature: 0 });
    await until(() => server.engine.runningCount === 1);
    expect(await errorOf(await server.ask('a', { temperature: 0, stream: true }))).toMatchObject({
      status: 409,
      code: 'duplicate_request',
    });
    const reading = (text: string) => server.ask('a', { temperature: 0, autoglm: { documents: { mode: 'summarize', texts: [text] } } });
    const others = [
      reading('One.'),
      reading('Two.'),
      server.ask('a', { temperature: 1 }),
      server.ask('b', { temperature: 0 }),
      server.ask('a', { temperature: 0, autoglm: { tenant: 't' } }),
    ];
    await until(() => server.engine.runningCount === 6);
    gate.open();
    expect((await Promise.all([first, ...others])).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200]);
    expect((await server.ask('a', { temperature: 0 })).status).toBe(200);
  });

  it('forgets a request that ended, was left or failed', async () => {
    const inFlight = new InFlight();
    const rules = await RuleSet.compile(
      'r',
      JSON.stringify({ rules: [{ name: 'twice', duplicate: true, label: { again: 'yes' } }] }),
      1000,
    );
    const stage = createPrejudgeStage({ current: rules }, { find: () => {} }, inFlight);
    const run = (next: () => AsyncIterable<StreamPart>) => stage({ ...base, input: chat('a') }, next)[Symbol.asyncIterator]();
    const left = run(parts);
    await left.next();
    expect(inFlight.size).toBe(1);
    await left.return?.();
    const failing = run(async function* () {
      yield await Promise.reject(new Error('broken'));
    });
    await expect(failing.next()).rejects.toThrow('broken');
    await expect(
      run(() => {
        throw new Error('at once');
      }).next(),
    ).rejects.toThrow('at once');
    for await (const _ of { [Symbol.asyncIterator]: () => run(parts) }) void _;
    expect(inFlight.size).toBe(0);
  });

  it('does not begin with rules that are wrong or not there', async () => {
    await expect(startRuledServer('rules:\n  - nmae: a')).rejects.toThrow(ConfigError);
    await expect(startRuledServer('rules: []').then((server) => server[Symbol.asyncDispose]())).resolves.toBeUndefined();
  });
});

const base: GatewayRequest = {
  id: 'r',
  model: 'default',
  tenant: '',
  input: { kind: 'chat', messages: [] },
  prompts: undefined,
  stream: false,
  choiceCount: 1,
  sampling: {},
  maxTokens: undefined,
  stop: [],
  topLogprobs: undefined,
  signal: new AbortController().signal,
  emit: () => {},
};
const chat = (...contents: string[]): GatewayRequest['input'] => ({
  kind: 'chat',
  messages: contents.map((content) => ({ role: 'user', content })),
});
async function* none(): AsyncGenerator<StreamPart> {}
async function* parts(): AsyncGenerator<StreamPart> {
  yield { type: 'text-start', index: 0 };
  yield { type: 'text-end', index: 0, finishReason: 'stop', completionTokens: 0, decodeMs: 0 };
}
