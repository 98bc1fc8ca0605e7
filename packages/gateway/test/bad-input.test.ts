import { connect } from 'node:net';
import { AutoglmError } from '@open-autoglm/protocol';
import type { MockEngine } from '../src/main.ts';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chatBody, portOf, startTestServer, type TestServer } from './support.ts';

interface ErrorBody {
  readonly error: { readonly message: string; readonly type: string; readonly code: string; readonly param: string | null };
}

const chat = '/v1/chat/completions';
const completions = '/v1/completions';
const user = (content: unknown) => ({ model: 'default', messages: [{ role: 'user', content }] });
const callable = (name: string) => ({ type: 'function', function: { name } });
const nested = (depth: number): object => (depth === 0 ? {} : { items: nested(depth - 1) });

/** [path, body, status, code, param] */
const cases: readonly (readonly [string, unknown, number, string, string | null])[] = [
  [chat, '{', 400, 'invalid_json', null],
  [chat, '', 400, 'invalid_json', null],
  [chat, Uint8Array.of(0x22, 0xff, 0x22), 400, 'invalid_json', null],
  [chat, [], 400, 'invalid_json', null],
  [chat, 'null', 400, 'invalid_json', null],
  [chat, {}, 400, 'missing_parameter', 'model'],
  [chat, { model: 'default' }, 400, 'missing_parameter', 'messages'],
  [chat, { ...chatBody, model: 5 }, 400, 'invalid_value', 'model'],
  [chat, { ...chatBody, model: 'gpt-4' }, 404, 'model_not_found', 'model'],
  [chat, { model: 'default', messages: [] }, 400, 'invalid_value', 'messages'],
  [chat, { model: 'default', messages: 'hi' }, 400, 'invalid_value', 'messages'],
  [chat, { model: 'default', messages: [{ role: 'robot', content: 'a' }] }, 400, 'invalid_value', 'messages[0].role'],
  [chat, { model: 'default', messages: [{ role: 'user' }] }, 400, 'missing_parameter', 'messages[0].content'],
  [chat, { model: 'default', messages: [{ role: 'assistant' }] }, 400, 'missing_parameter', 'messages[0].content'],
  [chat, user(5), 400, 'invalid_value', 'messages[0].content'],
  [chat, user([{ type: 'text' }]), 400, 'invalid_value', 'messages[0].content'],
  [chat, user([{ type: 'image_url', image_url: { url: 'data:' } }]), 422, 'unsupported_feature', 'messages[0].content[0].type'],
  [chat, '{"model":"default","messages":[{"role":"user","content":"a\\ud800"}]}', 400, 'invalid_value', 'messages[0].content'],
  [chat, { ...chatBody, max_tokens: 0 }, 400, 'invalid_value', 'max_tokens'],
  [chat, { ...chatBody, max_completion_tokens: -1 }, 400, 'invalid_value', 'max_completion_tokens'],
  [chat, { ...chatBody, max_tokens: 9, max_completion_tokens: 5 }, 400, 'invalid_parameter_combination', 'max_tokens'],
  [chat, { ...chatBody, max_tokens: 1.5 }, 400, 'invalid_value', 'max_tokens'],
  [chat, { ...chatBody, temperature: -0.1 }, 400, 'invalid_value', 'temperature'],
  [chat, { ...chatBody, temperature: 'hot' }, 400, 'invalid_value', 'temperature'],
  [chat, `${JSON.stringify(chatBody).slice(0, -1)},"temperature":1e999}`, 400, 'invalid_value', 'temperature'],
  [chat, `${JSON.stringify(chatBody).slice(0, -1)},"temperature":NaN}`, 400, 'invalid_json', null],
  [chat, { ...chatBody, top_p: 0 }, 400, 'invalid_value', 'top_p'],
  [chat, { ...chatBody, n: 0 }, 400, 'invalid_value', 'n'],
  [chat, { ...chatBody, n: 1000 }, 400, 'invalid_value', 'n'],
  [chat, { ...chatBody, stop: [''] }, 400, 'invalid_value', 'stop'],
  [chat, { ...chatBody, logit_bias: { abc: 1 } }, 400, 'invalid_value', 'logit_bias'],
  [chat, { ...chatBody, top_logprobs: 3 }, 400, 'invalid_value', 'top_logprobs'],
  [chat, { ...chatBody, stream_options: { include_usage: true } }, 400, 'invalid_value', 'stream_options'],
  [chat, { ...chatBody, temprature: 1 }, 400, 'unknown_parameter', 'temprature'],
  [chat, `${JSON.stringify(chatBody).slice(0, -1)},"__proto__":{"n":2}}`, 400, 'unknown_parameter', '__proto__'],
  [chat, { ...chatBody, response_format: { type: 'xml' } }, 400, 'invalid_value', 'response_format.type'],
  [chat, { ...chatBody, response_format: { type: 'json_object', schema: {} } }, 400, 'unknown_parameter', 'response_format.schema'],
  [
    chat,
    { ...chatBody, response_format: { type: 'json_schema', json_schema: {} } },
    400,
    'missing_parameter',
    'response_format.json_schema.name',
  ],
  [
    chat,
    { ...chatBody, response_format: { type: 'json_schema', json_schema: { name: 'a', schema: nested(300) } } },
    400,
    'invalid_value',
    'response_format.json_schema.schema',
  ],
  [chat, { ...chatBody, tools: [{ type: 'function', function: { name: 'a b' } }] }, 400, 'invalid_value', 'tools[0].function.name'],
  [chat, { ...chatBody, tools: [callable('f'), callable('f')] }, 400, 'invalid_value', 'tools[1].function.name'],
  [
    chat,
    { ...chatBody, tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'string' } } }] },
    400,
    'invalid_value',
    'tools[0].function.parameters.type',
  ],
  [chat, { ...chatBody, tool_choice: 'required' }, 400, 'invalid_value', 'tool_choice'],
  [
    chat,
    { ...chatBody, tools: [callable('f')], tool_choice: { type: 'function', function: { name: 'g' } } },
    400,
    'invalid_value',
    'tool_choice.function.name',
  ],
  [chat, { ...chatBody, autoglm: { surprise: 1 } }, 400, 'unknown_parameter', 'autoglm.surprise'],
  [chat, { ...chatBody, autoglm: { lane: 'fast' } }, 400, 'invalid_value', 'autoglm.lane'],
  [chat, { ...chatBody, autoglm: { deadline_ms: 0 } }, 400, 'invalid_value', 'autoglm.deadline_ms'],
  [chat, { ...chatBody, autoglm: { context_strategy: 'window' } }, 400, 'invalid_value', 'autoglm.context_strategy'],
  [chat, { ...chatBody, autoglm: { context_strategy: { kind: 'slide' } } }, 400, 'invalid_value', 'autoglm.context_strategy.kind'],
  [
    chat,
    { ...chatBody, autoglm: { context_strategy: { kind: 'window', sinks: -1 } } },
    400,
    'invalid_value',
    'autoglm.context_strategy.sinks',
  ],
  [
    chat,
    { ...chatBody, autoglm: { context_strategy: { kind: 'attention', window: 255 } } },
    400,
    'invalid_value',
    'autoglm.context_strategy.window',
  ],
  [
    chat,
    { ...chatBody, autoglm: { context_strategy: { kind: 'window', size: 5 } } },
    400,
    'unknown_parameter',
    'autoglm.context_strategy.size',
  ],
  [
    chat,
    { ...chatBody, autoglm: { context_strategy: { kind: 'full', window: 512 } } },
    400,
    'invalid_value',
    'autoglm.context_strategy.window',
  ],
  [chat, { ...chatBody, autoglm: { attention: 1 } }, 400, 'invalid_value', 'autoglm.attention'],
  [chat, { ...chatBody, autoglm: { attention: true } }, 422, 'unsupported_feature', 'autoglm.attention'],
  [completions, { model: 'default' }, 400, 'missing_parameter', 'prompt'],
  [completions, { model: 'default', prompt: [] }, 400, 'invalid_value', 'prompt'],
  [completions, { model: 'default', prompt: [1, 'a'] }, 400, 'invalid_value', 'prompt'],
  [completions, { model: 'default', prompt: 'a', suffix: 'b' }, 422, 'unsupported_feature', 'suffix'],
  [completions, { model: 'default', prompt: 'a', best_of: 3 }, 422, 'unsupported_feature', 'best_of'],
  [completions, { model: 'default', prompt: 'a', echo: true }, 422, 'unsupported_feature', 'echo'],
  [chat, { ...chatBody, store: true }, 422, 'unsupported_feature', 'store'],
  [chat, { ...chatBody, service_tier: 'priority' }, 422, 'unsupported_feature', 'service_tier'],
  [
    chat,
    { ...chatBody, stream: true, stream_options: { include_obfuscation: true } },
    422,
    'unsupported_feature',
    'stream_options.include_obfuscation',
  ],
  [chat, user([{ type: 'text', text: 'a', cache_control: {} }]), 400, 'invalid_value', 'messages[0].content'],
  [chat, { model: 'default', messages: [{ role: 'assistant', content: 'a', refusal: 'no' }] }, 400, 'invalid_value', 'messages[0].refusal'],
];

describe('bad input', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({}, { body_limit_bytes: 100_000 });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it.each(cases)('%s %j is a %i %s that names %s', async (path, body, status, code, param) => {
    const response = await server.post(path, body);
    const { error } = (await response.json()) as ErrorBody;
    expect({ status: response.status, code: error.code, param: error.param }).toEqual({ status, code, param });
    expect(error.message).not.toBe('');
    expect((await server.post(chat, chatBody)).status).toBe(200);
  });

  it.each([
    [completions, { prompt: ['a', ''] }, 'prompt[1]'],
    [completions, { prompt: ['a', 'b', ''], n: 2 }, 'prompt[2]'],
    [completions, { prompt: '' }, 'prompt'],
    [completions, { prompt: [''] }, 'prompt'],
  ])('%s %j: what is wrong with a prompt names the field that holds it, %s', async (path, body, param) => {
    const isEmpty = ({ prompt }: MockEngine['requests'][number]) =>
      'segments' in prompt && !prompt.segments.some(({ kind, text }) => kind === 'text' && /[ab]/.test(text));
    await using strict = await startTestServer({
      beforeToken(_, request) {
        if (isEmpty(request)) throw new AutoglmError('invalid_value', 'The prompt has no tokens.', { param: 'prompt' });
      },
    });
    const response = await strict.post(path, { model: 'default', ...body });
    expect([response.status, ((await response.json()) as ErrorBody).error.param]).toEqual([400, param]);
  });

  it.each(['modalities', 'metadata', 'response_format', 'stop', 'tools', 'autoglm', 'unknown'])(
    'survives %s nested deeply',
    async (field) => {
      const nested = '['.repeat(40_000) + ']'.repeat(40_000);
      const response = await server.post(chat, `${JSON.stringify(chatBody).slice(0, -1)},"${field}":${nested}}`);
      expect([400, 422]).toContain(response.status);
    },
  );

  it('says of an entry what it must be, not what holds it must be', async () => {
    const response = await server.post(chat, { model: 'default', messages: [null] });
    const { error } = (await response.json()) as ErrorBody;
    expect([error.param, error.message]).toEqual(['messages[0]', "Invalid value for 'messages[0]': must be an object."]);
  });

  it('takes harmless fields, and an answer that is sent back as it came', async () => {
    const fields = {
      user: 'a',
      metadata: { a: 'b' },
      store: false,
      service_tier: 'auto',
      parallel_tool_calls: true,
      response_format: { type: 'text' },
      tools: [],
      tool_choice: 'none',
    };
    const answer = { role: 'assistant', content: 'a', refusal: null, annotations: [], audio: null, function_call: null, tool_calls: null };
    expect(
      (await server.post(chat, { ...chatBody, ...fields, messages: [...chatBody.messages, answer, ...chatBody.messages] })).status,
    ).toBe(200);
    expect((await server.post(completions, { model: 'default', prompt: 'a', best_of: 1, echo: false, suffix: '' })).status).toBe(200);
  });

  it('refuses a body over the limit, announced or not', async () => {
    const large = JSON.stringify(user('好'.repeat(100_000)));
    expect((await server.post(chat, large)).status).toBe(413);
    const unannounced = await server.post(chat, undefined, { body: new Blob([large]).stream(), duplex: 'half' } as RequestInit);
    expect(unannounced.status).toBe(413);
    expect((await server.post(chat, chatBody)).status).toBe(200);
  });

  it('refuses other media types and encodings', async () => {
    expect((await server.post(chat, 'a=b', { headers: { 'content-type': 'application/x-www-form-urlencoded' } })).status).toBe(415);
    expect((await server.post(chat, 'x', { headers: { 'content-encoding': 'compress' } })).status).toBe(415);
  });

  it.each([
    ['/chat/completions', "it is at /v1/chat/completions. The base URL of OpenAI's clients ends with /v1."],
    ['/v1/chat', 'There is nothing at POST /v1/chat.'],
    [`/v1/cache/${'k'.repeat(43)}`, 'until the configuration says "cache: {enabled: true}".'],
    ['/v1/devices/car/heartbeat', 'until the configuration says "devices: {enabled: true}".'],
    ['/v1/cascade/feedback', 'until the configuration says "tiers: {enabled: true, record: {file: ./outcomes.jsonl}}".'],
  ])('says of %s what would be there, or where', async (path, message) => {
    const { error } = (await (await server.post(path, {})).json()) as ErrorBody;
    expect(error).toMatchObject({ code: 'route_not_found', message: expect.stringContaining(message) as string });
  });

  it('answers unknown paths with 404 and other methods with 405', async () => {
    expect((await fetch(`${server.url}/v1/nothing`)).status).toBe(404);
    const response = await fetch(server.url + chat);
    expect({ status: response.status, allow: response.headers.get('allow') }).toEqual({ status: 405, allow: 'POST' });
    expect((await fetch(`${server.url}/v1/models/%E0%A4%A`)).status).toBe(400);
  });

  it('names a header that it does not know', async () => {
    const response = await server.post(chat, chatBody, { headers: { 'x-autoglm-speed': '9' } });
    expect(((await response.json()) as ErrorBody).error).toMatchObject({ code: 'unknown_parameter', param: 'x-autoglm-speed' });
    expect((await server.post(chat, chatBody, { headers: { 'x-autoglm-deadline-ms': '5000' } })).status).toBe(200);
  });

  it.each([
    ['x-autoglm-speed', 'unknown_parameter'],
    ['x-autoglm-deadline-ms', 'invalid_value'],
    ['x-autoglm-lane', 'invalid_value'],
    ['x-autoglm-tenant', 'invalid_value'],
  ])('names the header %s, also where the body says all that it needs', async (param, code) => {
    const body = { model: 'default', autoglm: { deadline_ms: 5000, lane: 'realtime', tenant: 't' } };
    for (const [path, asked] of [
      [chat, { ...chatBody, ...body }],
      [completions, { ...body, prompt: 'a' }],
      ['/v1/embeddings', { ...body, input: 'a' }],
      ['/v1/classify', { ...body, input: 'a', labels: ['b', 'c'] }],
    ] as const) {
      const response = await server.post(path, asked, { headers: { [param]: 'x'.repeat(257) } });
      expect([path, response.status, await response.json()]).toMatchObject([path, 400, { error: { code, param } }]);
    }
  });

  const answerTo = (sent: string) =>
    new Promise<string>((resolve) => {
      let text = '';
      const socket = connect(portOf(server.url), '127.0.0.1', () => socket.write(sent));
      socket.on('data', (data) => (text += data)).on('close', () => resolve(text));
    });

  it.each(['/healthz', 'http://example.com/healthz', 'HTTP://example.com:8080/healthz?now'])('answers GET %s', async (target) => {
    expect(await answerTo(`GET ${target} HTTP/1.1\r\nhost: example.com\r\nconnection: close\r\n\r\n`)).toMatch(/^HTTP\/1\.1 200 /);
  });

  it('answers what is not HTTP', async () => {
    const answer = await answerTo('HELLO\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toContain('"error"');
  });

  it('never crashes and never blames itself for a random body', async () => {
    const field = fc.constantFrom(
      'model',
      'messages',
      'prompt',
      'n',
      'stop',
      'seed',
      'stream',
      'logprobs',
      'top_logprobs',
      'logit_bias',
      'tools',
      'response_format',
      'autoglm',
      'max_tokens',
      'temperature',
      'stream_options',
      '__proto__',
      'toString',
    );
    const plausible = fc.constantFrom<unknown>(
      'default',
      [{ role: 'user', content: 'hi' }],
      [{ role: 'tool', content: 'x', tool_call_id: 'a' }],
      1,
      0,
      true,
      null,
      'text',
    );
    const body = fc.oneof(fc.dictionary(field, fc.oneof(plausible, fc.jsonValue())), fc.jsonValue());
    await fc.assert(
      fc.asyncProperty(body, fc.constantFrom(chat, completions), async (value, path) => {
        const response = await server.post(path, JSON.stringify(value));
        const text = await response.text();
        expect(response.status).toBeLessThan(500);
        if (response.status !== 200) expect((JSON.parse(text) as ErrorBody).error.message).toEqual(expect.any(String));
      }),
      { numRuns: 300 },
    );
  });
});
