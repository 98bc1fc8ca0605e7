import { describe, expect, it } from 'vitest';
import { stopClock } from '../stopped-clock.ts';
import { begin, fakeModel, hang, say, sendJson, startFakeBackend, type Behaviour } from './fake-backend.ts';
import { chat, chatBody, chunksOf, startRemoteGateway, textOf, until, type Chunk } from './support.ts';

const streamed = { ...chatBody, stream: true };

describe('a request to another server', () => {
  it("arrives in the client's own words, fields that nobody here knows included", async () => {
    await using backend = await startFakeBackend();
    await using server = await startRemoteGateway([backend.url], {
      extra: { upstream_model: 'served/there', api_key_env: 'KEY' },
      env: { KEY: 'secret' },
    });
    const asked = {
      ...chatBody,
      messages: [
        { role: 'developer', content: 'Be kind.' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'What is this?' },
            { type: 'image_url', image_url: { url: 'data:image/png;base64,AA==' } },
          ],
          cache_control: { type: 'ephemeral' },
        },
        { role: 'assistant', content: null, tool_calls: [{ id: 'a', type: 'function', function: { name: 'look', arguments: '{}' } }] },
        { role: 'tool', tool_call_id: 'a', content: 'a cat' },
      ],
      tools: [{ type: 'function', function: { name: 'look', parameters: { type: 'object' } } }],
      tool_choice: 'required',
      response_format: { type: 'json_object' },
      guided_regex: 'a+',
      chat_template_kwargs: { enable_thinking: false },
      reasoning_effort: 'low',
      max_completion_tokens: 50,
      temperature: 0.5,
      top_k: 0,
      seed: 1,
      stop: 'x',
      metadata: { a: 1 },
    };
    const response = await server.post(
      chat,
      { ...asked, autoglm: { deadline_ms: 60_000 } },
      { headers: { 'content-type': 'application/json', 'x-request-id': 'client-7' } },
    );
    expect(response.status).toBe(200);
    expect(backend.requests[0]?.body).toEqual({ ...asked, model: 'served/there' });
    expect(backend.requests[0]?.headers).toMatchObject({ authorization: 'Bearer secret', 'x-request-id': 'client-7' });
  });

  it('asks for the usage of every stream, and tells it only to who wants it', async () => {
    await using backend = await startFakeBackend();
    await using server = await startRemoteGateway([backend.url]);
    const without = chunksOf(await (await server.post(chat, streamed)).text());
    const withUsage = chunksOf(
      await (await server.post(chat, { ...streamed, stream_options: { include_usage: true, continuous_usage_stats: false } })).text(),
    );
    expect(without.every(({ usage }) => usage === undefined)).toBe(true);
    expect(without.at(-1)).toMatchObject({
      choices: [{ finish_reason: 'stop' }],
      autoglm: { usage: { prompt_tokens: 7, completion_tokens: 4, total_tokens: 11, prompt_tokens_details: { cached_tokens: 3 } } },
    });
    expect(withUsage.at(-1)?.usage).toEqual({
      prompt_tokens: 7,
      completion_tokens: 4,
      total_tokens: 11,
      prompt_tokens_details: { cached_tokens: 3 },
    });
    expect(backend.requests.map(({ body }) => body['stream_options'])).toEqual([
      { include_usage: true },
      { include_usage: true, continuous_usage_stats: false },
    ]);
  });

  it('goes to the completions API with its prompts', async () => {
    await using backend = await startFakeBackend();
    await using server = await startRemoteGateway([backend.url]);
    const body = { model: fakeModel, prompt: ['a', 'b'], echo: true, suffix: 's', max_tokens: 5 };
    backend.behave((response) =>
      sendJson(response, 200, {
        choices: [
          { index: 0, text: 'A', finish_reason: 'stop' },
          { index: 1, text: 'B', finish_reason: 'length' },
        ],
        usage: { prompt_tokens: 2, completion_tokens: 2, total_tokens: 4 },
      }),
    );
    const answer = await (await server.post('/v1/completions', body)).json();
    expect(backend.requests[0]).toMatchObject({ path: '/v1/completions', body });
    expect(answer).toMatchObject({
      object: 'text_completion',
      choices: [
        { text: 'A', finish_reason: 'stop' },
        { text: 'B', finish_reason: 'length' },
      ],
      usage: { total_tokens: 4 },
    });
  });
});

it.each([
  { what: 'an object', session: { length: 5 } },
  { what: 'a number', session: 7 },
  { what: 'too long', session: 'x'.repeat(1025) },
])('a session of a text completion that is $what is refused by its field', async ({ session }) => {
  await using backend = await startFakeBackend();
  await using server = await startRemoteGateway([backend.url, backend.url], { router: { balance: 'session_hash' } });
  const refused = await server.post('/v1/completions', { model: fakeModel, prompt: 'a', prompt_cache_key: session });
  expect([refused.status, await refused.json()]).toMatchObject([400, { error: { code: 'invalid_value', param: 'prompt_cache_key' } }]);
});

describe('the answer of another server', () => {
  it.each([false, true])('comes whole, n times, with its engine, tier and usage (stream: %s)', async (stream) => {
    await using backend = await startFakeBackend(say(['Grüße', ' "quoted"\n', '\\ 你好']));
    await using server = await startRemoteGateway([backend.url]);
    const response = await server.post(chat, { ...chatBody, stream, n: 2 });
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'x-autoglm-engine': 'fake-0',
      'x-autoglm-tier': 'cloud',
      'server-timing': expect.stringMatching(/upstream;dur=/),
    });
    const text = await response.text();
    if (stream) {
      const chunks = chunksOf(text);
      expect([textOf(chunks, 0), textOf(chunks, 1)]).toEqual(['Grüße "quoted"\n\\ 你好', 'Grüße "quoted"\n\\ 你好']);
      expect(chunks.every(({ id, model }) => id?.startsWith('chatcmpl-') && model === fakeModel)).toBe(true);
    } else {
      expect(JSON.parse(text)).toMatchObject({
        model: fakeModel,
        choices: [{ message: { content: 'Grüße "quoted"\n\\ 你好' } }, { index: 1 }],
        usage: { prompt_tokens: 7, prompt_tokens_details: { cached_tokens: 3 } },
      });
    }
  });

  it('streams thoughts, tool calls and unknown fields through unchanged', async () => {
    const deltas = [
      { reasoning_content: 'Let me' },
      { reasoning_content: ' see' },
      { reasoning_content: ' …' },
      { content: 'I ', annotations: [{ type: 'x' }] },
      { content: 'look.' },
      { tool_calls: [{ index: 0, id: 'call-1', type: 'function', function: { name: 'look', arguments: '' } }] },
      { tool_calls: [{ index: 0, function: { arguments: '{"content": "a"' } }] },
      { tool_calls: [{ index: 0, function: { arguments: '}' } }] },
    ];
    await using backend = await startFakeBackend((response) => {
      const events = begin(response);
      events.write({ choices: [{ index: 0, delta: { role: 'assistant', content: '' } }], system_fingerprint: 'fp' });
      for (const delta of deltas) events.delta(delta, { token_ids: [1] });
      events.delta({}, { finish_reason: 'tool_calls', stop_reason: 42 });
      events.done();
    });
    await using server = await startRemoteGateway([backend.url]);
    const chunks = chunksOf(await (await server.post(chat, streamed)).text());
    const choices = chunks.flatMap((chunk) => chunk.choices);
    const merged = { reasoning: '', content: '', calls: [] as unknown[], annotations: [] as unknown[] };
    for (const { delta } of choices) {
      merged.reasoning += String(delta['reasoning_content'] ?? '');
      merged.content += String(delta['content'] ?? '');
      merged.calls.push(...((delta['tool_calls'] as unknown[] | undefined) ?? []));
      merged.annotations.push(...((delta['annotations'] as unknown[] | undefined) ?? []));
    }
    expect(merged).toEqual({
      reasoning: 'Let me see …',
      content: 'I look.',
      calls: deltas.slice(5).map((delta) => delta.tool_calls?.[0]),
      annotations: [{ type: 'x' }],
    });
    expect(choices.filter((choice) => choice['token_ids'])).toHaveLength(deltas.length);
    expect(choices.at(-1)).toMatchObject({ finish_reason: 'tool_calls', stop_reason: 42 });
    expect(chunks.filter((chunk) => chunk['system_fingerprint'] === 'fp')).toHaveLength(1);
  });

  it('gives a whole answer all fields that it has', async () => {
    const message = {
      role: 'assistant',
      content: null,
      reasoning: 'Hm.',
      tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }],
    };
    const logprobs = {
      content: [{ token: 'a', logprob: -0.25, bytes: [97], top_logprobs: [{ token: 'a', logprob: -0.25, bytes: [97] }] }],
      refusal: null,
    };
    const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3, completion_tokens_details: { reasoning_tokens: 1 } };
    await using backend = await startFakeBackend((response) =>
      sendJson(response, 200, {
        choices: [{ index: 0, message, logprobs, finish_reason: 'tool_calls', stop_reason: 'x' }],
        usage,
        service_tier: 'default',
      }),
    );
    await using server = await startRemoteGateway([backend.url]);
    expect(await (await server.post(chat, { ...chatBody, logprobs: true, top_logprobs: 1 })).json()).toMatchObject({
      choices: [{ index: 0, message, logprobs, finish_reason: 'tool_calls', stop_reason: 'x' }],
      usage,
      service_tier: 'default',
    });
  });

  it('is read where its content comes in parts, thoughts among them', async () => {
    const content = [
      {
        type: 'thinking',
        thinking: [
          { type: 'text', text: 'Hm' },
          { type: 'text', text: '.' },
        ],
      },
      { type: 'text', text: 'Yes' },
      { type: 'text', text: '!' },
    ];
    await using backend = await startFakeBackend((response, { body }) => {
      if (!body.stream)
        return sendJson(response, 200, { choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }] });
      const events = begin(response);
      for (const part of content) events.delta({ content: [part] });
      events.delta({ content: ' Plain.' }, { finish_reason: 'stop' });
      return events.done();
    });
    await using server = await startRemoteGateway([backend.url]);
    expect(await (await server.post(chat, chatBody)).json()).toMatchObject({
      choices: [{ message: { content: 'Yes!', reasoning_content: 'Hm.' } }],
    });
    const chunks = chunksOf(await (await server.post(chat, streamed)).text());
    expect([textOf(chunks), chunks.map(({ choices }) => choices?.[0]?.delta['reasoning_content'] ?? '').join('')]).toEqual([
      'Yes! Plain.',
      'Hm.',
    ]);
  });

  it.each([['"7"'], ['-7'], ['1e999']])('is counted here where it tells its cached tokens as %s', async (cached) => {
    const choice = '{"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}';
    await using backend = await startFakeBackend((response) =>
      sendJson(
        response,
        200,
        `{"choices": [${choice}], "usage": {"prompt_tokens": 9, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": ${cached}}}}`,
      ),
    );
    await using server = await startRemoteGateway([backend.url]);
    const response = await server.post(chat, chatBody);
    expect([response.status, await response.json()]).toMatchObject([200, { usage: { completion_tokens: 1 } }]);
    expect((await fetch(`${server.url}/metrics`)).status).toBe(200);
  });

  it('is read in whatever pieces the network makes of it', async () => {
    const whole = [
      '{"choices":[{"index":0,"delta":{"role":"assistant"}}]}',
      ...['你', '好', '\\u00e9', '!'].map((token) => `{"choices":[{"index":0,"delta":{"content":"${token}"}}]}`),
      '{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
      '[DONE]',
    ];
    const bytes = Buffer.from(`: a comment\r\n\r\n${whole.map((data) => `event: x\r\ndata: ${data}\r\n\r\n`).join('')}`);
    await using backend = await startFakeBackend(async (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (let at = 0; at < bytes.length; at += 7) {
        response.write(bytes.subarray(at, at + 7));
        await new Promise((resolve) => setImmediate(resolve));
      }
      response.end();
    });
    await using server = await startRemoteGateway([backend.url]);
    expect(textOf(chunksOf(await (await server.post(chat, streamed)).text()))).toBe('你好é!');
  });

  it('is whole where its connection breaks after the reason of its end', async () => {
    await using backend = await startFakeBackend((response) => {
      const events = begin(response);
      events.delta({ content: 'Yes' });
      events.delta({}, { finish_reason: 'length' });
      setImmediate(() => response.socket?.resetAndDestroy());
    });
    await using server = await startRemoteGateway([backend.url]);
    const chunks = chunksOf(await (await server.post(chat, streamed)).text());
    expect([textOf(chunks), chunks.at(-1)?.choices[0]?.finish_reason]).toEqual(['Yes', 'length']);
  });

  it('begins with a byte order mark, has data that says nothing, and a type in capitals', async () => {
    const [text, end] = [
      '{"choices":[{"index":0,"delta":{"content":"Yes"}}]}',
      '{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
    ];
    await using backend = await startFakeBackend(
      (response) =>
        void response
          .writeHead(200, { 'content-type': 'Text/Event-Stream' })
          .end(`\uFEFFdata: ${text}\n\ndata:\n\ndata: \n\ndata: ${end}\n\n`),
    );
    await using server = await startRemoteGateway([backend.url]);
    expect(textOf(chunksOf(await (await server.post(chat, streamed)).text()))).toBe('Yes');
  });

  it.each([false, true])('says something before its first choice (stream: %s)', async (stream) => {
    const filtered = [{ prompt_index: 0 }];
    await using backend = await startFakeBackend((response, { body }) => {
      const choice = { index: 1, finish_reason: 'stop' };
      if (!body.stream)
        return sendJson(response, 200, {
          choices: [
            { ...choice, message: { content: 'b' } },
            { ...choice, index: 0, message: { content: 'a' } },
          ],
          prompt_filter_results: filtered,
        });
      const events = begin(response);
      events.write({ choices: [], prompt_filter_results: filtered });
      events.delta({ content: 'b' }, choice);
      events.delta({ content: 'a' }, { ...choice, index: 0 });
      return events.done();
    });
    await using server = await startRemoteGateway([backend.url]);
    const text = await (await server.post(chat, { ...chatBody, stream, n: 2 })).text();
    const chunks = stream ? chunksOf(text) : [JSON.parse(text) as Chunk];
    expect(chunks.filter((chunk) => chunk['prompt_filter_results'])).toHaveLength(1);
    if (stream) expect([textOf(chunks, 0), textOf(chunks, 1)]).toEqual(['a', 'b']);
    else
      expect(chunks).toMatchObject([
        { choices: [{ message: { content: 'a' } }, { message: { content: 'b' } }], prompt_filter_results: filtered },
      ]);
  });

  it.each([false, true])(
    "with fewer choices than were asked for is a refusal of that, and nobody's failure (stream: %s)",
    async (stream) => {
      const ignoresN: Behaviour = (response, { path, body }) => say()(response, { path, body: { ...body, n: 1 }, headers: {} });
      await using backend = await startFakeBackend(ignoresN);
      await using other = await startFakeBackend(ignoresN);
      await using server = await startRemoteGateway([backend.url, other.url], { router: { health: { failures: 1, panic: false } } });
      for (let count = 0; count < 3; count += 1) {
        const text = await (await server.post(chat, { ...chatBody, stream, n: 2 })).text();
        const { error } = stream ? (chunksOf(text).at(-1) as Chunk) : (JSON.parse(text) as Chunk);
        expect(error).toMatchObject({ code: 'unsupported_feature', param: 'n', message: expect.stringContaining('1 of the 2 choices') });
      }
      expect(backend.requests.length + other.requests.length).toBe(3);
      expect((await server.post(chat, chatBody)).status).toBe(200);
    },
  );
});

/** [what the server does, the status and code that the client sees, the message] */
const failures: readonly (readonly [string, Behaviour, number, string, RegExp?])[] = [
  [
    'refuses a parameter',
    (response) => sendJson(response, 400, { error: { message: 'temperature is too hot', type: 'x', code: 'y', param: 'temperature' } }),
    400,
    'invalid_value',
    /^temperature is too hot$/,
  ],
  [
    'finds the prompt too long (vLLM)',
    (response) => sendJson(response, 400, { object: 'error', message: "This model's maximum context length is 10 tokens.", code: 400 }),
    400,
    'context_length_exceeded',
  ],
  [
    'finds the prompt too long (vLLM since 0.16)',
    (response) =>
      sendJson(response, 400, {
        error: {
          message: "You passed 11 input tokens and requested 0 output tokens. However, the model's context length is only 10 tokens.",
          type: 'BadRequestError',
          param: 'input_tokens',
          code: 400,
        },
      }),
    400,
    'context_length_exceeded',
  ],
  [
    'finds the prompt too long (SGLang)',
    (response) =>
      sendJson(response, 400, {
        object: 'error',
        message: "The input (11 tokens) is longer than the model's context length (10 tokens).",
        code: 400,
      }),
    400,
    'context_length_exceeded',
  ],
  ['has no such model', (response) => sendJson(response, 404, { error: { message: 'no model' } }), 502, 'upstream_error'],
  [
    'does not trust the gateway',
    (response) => sendJson(response, 401, { error: { message: 'bad key sk-123' } }),
    502,
    'upstream_error',
    /credentials/,
  ],
  [
    'wants to be paid',
    (response) => sendJson(response, 402, { error: { message: 'sk-123 has no balance' } }),
    502,
    'upstream_error',
    /account/,
  ],
  [
    'does not take the method',
    (response) => sendJson(response, 405, { detail: 'Method Not Allowed' }),
    502,
    'upstream_error',
    /status 405/,
  ],
  [
    'takes us for gone',
    (response) => sendJson(response, 499, { error: { message: 'gone', code: 'client_closed_request' } }),
    502,
    'upstream_error',
    /status 499/,
  ],
  ["has an error of FastAPI's", (response) => sendJson(response, 422, { detail: 'n is odd' }), 422, 'unsupported_feature', /^n is odd$/],
  [
    'fails',
    (response) => sendJson(response, 500, 'Internal Server Error', { 'content-type': 'text/plain' }),
    502,
    'upstream_error',
    /status 500/,
  ],
  [
    'answers with something else',
    (response) => sendJson(response, 200, '<html>', { 'content-type': 'text/html' }),
    502,
    'upstream_error',
    /text\/html/,
  ],
  ['sends what is not JSON', (response) => sendJson(response, 200, '{"choices": [', {}), 502, 'upstream_error'],
  [
    'sends JSON of another kind',
    (response) => sendJson(response, 200, { choices: [{ index: 3, message: { content: 4 } }] }),
    502,
    'upstream_error',
  ],
  [
    'sends JSON without any choice',
    (response) => sendJson(response, 200, { status: 'ok' }),
    502,
    'upstream_error',
    /before it was complete/,
  ],
  ['sends choices that are no list', (response) => sendJson(response, 200, { choices: 'abc' }), 502, 'upstream_error'],
  [
    'numbers its choices by words',
    (response) => sendJson(response, 200, { choices: [{ index: '__proto__', message: { content: 'x' }, finish_reason: 'stop' }] }),
    502,
    'upstream_error',
    /not an answer in OpenAI's format/,
  ],
  ['resets the connection', (response) => void response.socket?.resetAndDestroy(), 502, 'upstream_error'],
  [
    'ends in mid-answer',
    (response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' });
      response.write('{');
      setImmediate(() => response.destroy());
    },
    502,
    'upstream_error',
  ],
  ['streams nothing', (response) => void response.writeHead(200, { 'content-type': 'text/event-stream' }).end(), 502, 'upstream_error'],
  [
    'streams garbage',
    (response) => void response.writeHead(200, { 'content-type': 'text/event-stream' }).end('data: <oops>\n\n'),
    502,
    'upstream_error',
  ],
  [
    "streams a refusal in OpenAI's words",
    (response) =>
      void response
        .writeHead(200, { 'content-type': 'text/event-stream' })
        .end('data: {"error": {"message": "odd", "type": "invalid_request_error", "param": "n", "code": "odd_n"}}\n\n'),
    400,
    'invalid_value',
    /odd/,
  ],
  [
    "streams a refusal in vLLM's words",
    (response) =>
      void response
        .writeHead(200, { 'content-type': 'text/event-stream' })
        .end('data: {"error": {"message": "odd", "type": "BadRequestError", "param": null}}\n\n'),
    400,
    'invalid_value',
    /odd/,
  ],
  [
    'streams a refusal in our words',
    (response) =>
      void response
        .writeHead(200, { 'content-type': 'text/event-stream' })
        .end('data: {"error": {"message": "large", "type": "invalid_request_error", "param": null, "code": "payload_too_large"}}\n\n'),
    413,
    'payload_too_large',
    /large/,
  ],
  [
    "streams a refusal in llama.cpp's older way",
    (response) =>
      void response
        .writeHead(200, { 'content-type': 'text/event-stream' })
        .end(
          'error: {"code":400,"message":"the request exceeds the available context size","type":"invalid_request_error"}\n\ndata: [DONE]\n\n',
        ),
    400,
    'context_length_exceeded',
    /^the request exceeds/,
  ],
  [
    'streams an error at once',
    (response) =>
      void response
        .writeHead(200, { 'content-type': 'text/event-stream' })
        .end('data: {"error": {"message": "too long", "code": 400}}\n\ndata: [DONE]\n\n'),
    400,
    'invalid_value',
    /too long/,
  ],
];

describe('a server that fails', () => {
  it.each(failures.map(([what, ...rest]) => [what, rest] as const))('%s', async (_, [behaviour, status, code, message = /./]) => {
    await using backend = await startFakeBackend(behaviour);
    await using server = await startRemoteGateway([backend.url]);
    const response = await server.post(chat, streamed);
    const { error } = (await response.json()) as { error: { code: string; message: string } };
    expect({ status: response.status, code: error.code }).toEqual({ status, code });
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain('sk-123');
    await until(() => backend.openCount === 0);
  });

  it.each(['7', '6.5'])('passes its Retry-After on: %s', async (seconds) => {
    await using backend = await startFakeBackend((response) =>
      sendJson(response, 429, { error: { message: 'slow down' } }, { 'retry-after': seconds }),
    );
    await using server = await startRemoteGateway([backend.url]);
    const response = await server.post(chat, chatBody);
    expect([response.status, response.headers.get('retry-after')]).toEqual([429, '7']);
  });

  it.each([
    ['a reset', (response: Parameters<Behaviour>[0]) => response.socket?.resetAndDestroy()],
    ['the end of its connection', (response: Parameters<Behaviour>[0]) => response.socket?.end()],
    ['an error', (response: Parameters<Behaviour>[0]) => response.end('data: {"error":{"message":"out of memory","code":500}}\n\n')],
    [
      "an error in llama.cpp's older way",
      (response: Parameters<Behaviour>[0]) =>
        response.end('error: {"code":500,"message":"out of memory","type":"server_error"}\n\ndata: [DONE]\n\n'),
    ],
    ['garbage', (response: Parameters<Behaviour>[0]) => response.end('data: {"choices":\n\n')],
    ['silence', () => {}],
  ])('in mid-stream by %s ends it with a marked error', async (_, fail) => {
    await using backend = await startFakeBackend((response) => {
      const events = begin(response);
      for (const content of ['a', 'b', 'c']) events.delta({ content });
      setImmediate(() => fail(response));
    });
    await using server = await startRemoteGateway([backend.url], { extra: { timeouts: { idle_ms: 300 } } });
    const response = await server.post(chat, streamed);
    expect(response.status).toBe(200);
    const chunks = chunksOf(await response.text());
    expect(textOf(chunks)).toBe('abc');
    expect(chunks.at(-1)?.error?.code).toMatch(/^upstream_(error|timeout)$/);
    await until(() => backend.openCount === 0);
  });

  it('does not begin in time', async () => {
    await using backend = await startFakeBackend(hang);
    await using server = await startRemoteGateway([backend.url], { extra: { timeouts: { headers_ms: 300 } } });
    const response = await server.post(chat, chatBody);
    expect([response.status, ((await response.json()) as { error: { code: string } }).error.code]).toEqual([504, 'upstream_timeout']);
    await until(() => backend.openCount === 0);
  });

  it('is not there', async () => {
    const backend = await startFakeBackend();
    await backend[Symbol.asyncDispose]();
    await using server = await startRemoteGateway([backend.url]);
    const response = await server.post(chat, chatBody);
    expect([response.status, ((await response.json()) as { error: { code: string } }).error.code]).toEqual([502, 'upstream_unreachable']);
  });
});

it('a server that speaks no TLS cannot be reached by https', async () => {
  await using backend = await startFakeBackend();
  await using server = await startRemoteGateway([backend.url.replace('http:', 'https:')]);
  const response = await server.post(chat, chatBody);
  expect([response.status, await response.json()]).toMatchObject([502, { error: { code: 'upstream_unreachable' } }]);
});

describe('a kept connection that is closed', () => {
  const asked: Readonly<Record<string, object>> = { [chat]: chatBody, '/v1/embeddings': { model: fakeModel, input: 'a' } };
  const answers: Behaviour = (response, received) => {
    if (received.path.endsWith('/embeddings')) return sendJson(response, 200, { data: [{ index: 0, embedding: [1] }] });
    return say()(response, received);
  };

  const cases = [
    [chat, 0, 200, 3],
    [chat, 1500, 502, 2],
    ['/v1/embeddings', 0, 200, 3],
    ['/v1/embeddings', 1500, 502, 2],
  ] as const;
  it.each(
    cases.flatMap(
      (one) =>
        [
          [...one, 'destroy'],
          [...one, 'resetAndDestroy'],
        ] as const,
    ),
  )(
    'has its request sent again only where nothing was done for it: %s after %d ms (%d, %d, %s)',
    async (route, workedMs, status, count, close) => {
      using clock = stopClock();
      await using backend = await startFakeBackend(answers);
      await using server = await startRemoteGateway([backend.url]);
      expect((await server.post(route, asked[route])).status).toBe(200);
      backend.behave((response) => {
        backend.behave(answers);
        clock.pass(workedMs);
        response.socket?.[close]();
      });
      expect((await server.post(route, asked[route])).status).toBe(status);
      expect(backend.requests).toHaveLength(count);
    },
  );
});

describe('a client that leaves', () => {
  it.each([
    ['before the answer', hang, false],
    ['before the stream', hang, true],
    ['in mid-stream', ((response) => begin(response).delta({ content: 'a' })) as Behaviour, true],
  ] as const)('%s is followed by the gateway at once', async (_, behaviour, stream) => {
    await using backend = await startFakeBackend(behaviour);
    await using server = await startRemoteGateway([backend.url]);
    const leaving = new AbortController();
    const asked = server
      .post(chat, { ...chatBody, stream }, { signal: leaving.signal })
      .then((response) => response.text())
      .catch(() => {});
    await until(() => backend.openCount === 1);
    leaving.abort();
    await until(() => backend.openCount === 0);
    await asked;
  });

  it('and reads slowly stops the server from writing on', async () => {
    let written = 0;
    const chunk = { content: 'x'.repeat(16_384) };
    await using backend = await startFakeBackend((response) => {
      const events = begin(response);
      const pump = () => {
        for (; !response.destroyed && written < 4096 && !response.writableNeedDrain; written += 1) events.delta(chunk);
        response.once('drain', pump);
      };
      pump();
    });
    await using server = await startRemoteGateway([backend.url]);
    const leaving = new AbortController();
    const response = await server.post(chat, streamed, { signal: leaving.signal });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    await reader.read();
    let before = -1;
    // Sockets and queues fill up, and then nothing moves any more.
    await until(async () => {
      const hasStopped = written === before;
      before = written;
      await fetch(`${server.url}/healthz`);
      return hasStopped;
    });
    expect(written).toBeLessThan(4096);
    leaving.abort();
    await until(() => backend.openCount === 0);
  });
});
