import { writeFileSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { countTokens } from 'gpt-tokenizer/encoding/o200k_base';
import { Pool } from 'undici';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { upstreamTokens } from '../../src/engines/openai-compatible/tokenize.ts';
import { defaultConfig } from '../../src/main.ts';
import { chatBody, startTestServer, until } from '../support.ts';
import { fakeModel, say, startFakeBackend } from '../upstream/fake-backend.ts';
import { ConfigError, startGatewayWith } from '../upstream/support.ts';

interface Answer {
  readonly usage: { readonly prompt_tokens: number };
  readonly error?: { readonly code: string; readonly param: string; readonly message: string };
  readonly autoglm?: {
    readonly compressed?: { readonly counted_by: string };
    readonly fitted?: {
      readonly prompt_tokens_before: number;
      readonly prompt_tokens: number;
      readonly prompt_tokens_max: number;
      readonly counted_by: string;
      readonly messages_left_out: number;
      readonly left_out: readonly object[];
    };
  };
}

const read = async (response: Promise<Response>) => (await (await response).json()) as Answer;
const chat = '/v1/chat/completions';
const told = 'The ferry leaves at noon from the pier behind the old town hall, as it has for years. ';
const long = [
  { role: 'system', content: 'Be brief.' },
  ...Array.from({ length: 20 }, (_, index) => [
    { role: 'user', content: `Part ${index}. ${told.repeat(3)}` },
    { role: 'assistant', content: `Read part ${index}.` },
  ]).flat(),
  { role: 'user', content: 'What was in part 3?' },
];

describe('autoglm.fit', () => {
  it('changes nothing and says nothing where the prompt fits', async () => {
    await using server = await startTestServer();
    const plain = await read(server.post(chat, chatBody));
    const asked = await read(server.post(chat, { ...chatBody, autoglm: { fit: true } }));
    expect(asked.usage).toEqual(plain.usage);
    expect(asked.autoglm).not.toHaveProperty('fitted');
    expect(server.engine.requests[1]?.prompt).toEqual(server.engine.requests[0]?.prompt);
  });

  it('fits the prompt to the context, leaves room for the answer, and says what went', async () => {
    await using server = await startTestServer({ model: { contextLength: 1000 } });
    const { autoglm } = await read(server.post(chat, { model: 'default', messages: long, max_tokens: 100, autoglm: { fit: true } }));
    expect(autoglm?.fitted).toMatchObject({ prompt_tokens_max: 900, counted_by: 'engine', messages_left_out: expect.any(Number) });
    expect(autoglm?.fitted?.prompt_tokens).toBeLessThanOrEqual(900);
    expect(autoglm?.fitted?.prompt_tokens_before).toBeGreaterThan(5000);
    expect(autoglm?.fitted?.left_out[0]).toEqual({ message: 1, role: 'user', tokens: expect.any(Number), pieces: 'all' });
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    expect(metrics).toMatch(/^autoglm_prompt_tokens_spared_total\{model_name="default",by="fit"\} [1-9]\d+$/mu);
    // The mock counts characters, as its engine would read them.
    const [request] = server.engine.requests;
    const text = request && 'segments' in request.prompt ? request.prompt.segments.map((segment) => segment.text).join('') : '';
    expect(Array.from(text).length + 1).toBe(autoglm?.fitted?.prompt_tokens);
    expect(text).toContain('Part 3.');
    expect(text).toContain('What was in part 3?');
  });

  it('is said in the last event of a stream', async () => {
    await using server = await startTestServer({ model: { contextLength: 1000 } });
    const events = (
      await (
        await server.post(chat, {
          model: 'default',
          messages: long,
          stream: true,
          autoglm: { fit: { prompt_tokens_max: 600, recent_turns: 1 } },
        })
      ).text()
    )
      .trim()
      .split('\n\n');
    expect(JSON.parse((events.at(-2) as string).slice('data: '.length)).autoglm.fitted).toMatchObject({ prompt_tokens_max: 600 });
  });

  it('fits texts to continue, each by itself, and no token ids', async () => {
    await using server = await startTestServer({ model: { contextLength: 400 } });
    const prompts = [told.repeat(20), 'Once upon a time'];
    const { autoglm } = await read(server.post('/v1/completions', { model: 'default', prompt: prompts, autoglm: { fit: true } }));
    expect(autoglm?.fitted).toMatchObject({ prompt_tokens_max: 384 });
    const texts = server.engine.requests.map(({ prompt }) =>
      'segments' in prompt ? prompt.segments.map((segment) => segment.text).join('') : '',
    );
    expect(texts[0]?.length).toBeLessThan(384);
    expect(texts[0]?.endsWith(told)).toBe(true);
    expect(texts[1]).toBe(prompts[1]);
  });

  it('refuses what cannot fit, and options that make no sense', async () => {
    await using server = await startTestServer({ model: { contextLength: 300 } });
    const refused = async (body: object) => (await read(server.post(chat, { ...chatBody, ...body }))).error;
    expect(
      await refused({ messages: [{ role: 'system', content: told.repeat(9) }, ...chatBody.messages], autoglm: { fit: true } }),
    ).toMatchObject({ code: 'context_length_exceeded', param: 'messages' });
    for (const field of ['max_tokens', 'max_completion_tokens'])
      expect(await refused({ [field]: 300, autoglm: { fit: true } })).toMatchObject({ code: 'context_length_exceeded', param: field });
    expect(await refused({ autoglm: { fit: 'yes' } })).toMatchObject({ code: 'invalid_value', param: 'autoglm.fit' });
    expect(await refused({ autoglm: { fit: { budget: 3 } } })).toMatchObject({ code: 'unknown_parameter', param: 'autoglm.fit.budget' });
    expect(await refused({ autoglm: { fit: { recent_turns: 0 } } })).toMatchObject({
      code: 'invalid_value',
      param: 'autoglm.fit.recent_turns',
    });
    expect(await refused({ autoglm: { fit: { prompt_tokens_max: 3, reserve_tokens: 3 } } })).toMatchObject({
      code: 'invalid_value',
      param: 'autoglm.fit.reserve_tokens',
    });
    expect((await read(server.post(chat, chatBody, { headers: { 'x-autoglm-fit': 'true' } }))).error).toMatchObject({
      param: 'x-autoglm-fit',
    });
  });
});

describe('fit for models of other servers', () => {
  const open = async (fit: object | undefined, backendUrl: string, model = fakeModel) =>
    startGatewayWith({
      engines: [{ kind: 'openai', name: 'fake', url: backendUrl, model, upstream_model: fakeModel }],
      ...(fit && { fit }),
    });
  const sent = (body: Readonly<Record<string, unknown>> | undefined) => body?.['messages'] as { role: string; content: string }[];

  it('uses the context that the server lists, and passes on what was not touched as it came', async () => {
    await using backend = await startFakeBackend(say());
    await using gateway = await open({ enabled: true, reserve_tokens: 3500 }, backend.url);
    const messages = long.map((message, index) => (index % 2 === 1 ? { ...message, vendor_field: index } : message));
    while (backend.probeCount === 0 || !(await gateway.get('/readyz')).body['status'])
      await new Promise((resolve) => setImmediate(resolve));
    // A quarter of 4096 is the most that is left free for an answer.
    const whole = await read(gateway.post(chat, { model: fakeModel, messages: long.slice(-4) }));
    expect(whole.autoglm).not.toHaveProperty('fitted');
    const many = [...messages.slice(0, -1), ...messages.slice(1, -1), ...messages.slice(1)];
    const { autoglm } = await read(gateway.post(chat, { model: fakeModel, messages: many }));
    expect(autoglm?.fitted).toMatchObject({ prompt_tokens_max: 3072, counted_by: 'estimate' });
    const kept = sent(backend.requests[1]?.body);
    expect(kept.at(-2)).toEqual(messages.at(-2));
    expect(kept[0]).toEqual(messages[0]);
  });

  it("counts with the model's own tokenizer, by its name or as configured", async () => {
    await using backend = await startFakeBackend(say());
    await using gateway = await open({ models: { 'gpt-4o-mini': { context_length: 1000 } } }, backend.url, 'gpt-4o-mini');
    const { autoglm } = await read(gateway.post(chat, { model: 'gpt-4o-mini', messages: long, max_tokens: 400, autoglm: { fit: true } }));
    expect(autoglm?.fitted).toMatchObject({ prompt_tokens_max: 600, counted_by: 'o200k_base' });
    const messages = sent(backend.requests[0]?.body);
    expect(messages.reduce((sum, { content }) => sum + countTokens(content) + 4, 3)).toBe(autoglm?.fitted?.prompt_tokens);
  });

  it.each([
    { function_call: { name: 'look', arguments: told.repeat(100) } },
    { tool_calls: [{ id: '1', type: 'function', function: { name: 'look', arguments: told.repeat(100) } }] },
  ])('counts what calls hold beside the texts', async (calls) => {
    await using backend = await startFakeBackend(say());
    await using gateway = await open({ models: { [fakeModel]: { context_length: 1400 } } }, backend.url);
    const messages = [
      { role: 'user', content: 'Look.' },
      { role: 'assistant', content: '', ...calls },
      { role: 'user', content: 'And?' },
    ];
    const { autoglm } = await read(gateway.post(chat, { model: fakeModel, messages, max_tokens: 100, autoglm: { fit: true } }));
    expect(autoglm?.fitted).toMatchObject({ messages_left_out: 1 });
  });

  it('counts with a tokenizer.json', async () => {
    await using folder = await mkdtempDisposable(path.join(tmpdir(), 'autoglm-fit-'));
    const file = path.join(folder.path, 'tokenizer.json');
    writeFileSync(
      file,
      JSON.stringify({
        version: '1.0',
        added_tokens: [],
        normalizer: null,
        pre_tokenizer: { type: 'WhitespaceSplit' },
        post_processor: null,
        decoder: null,
        model: { type: 'WordLevel', vocab: { '?': 0 }, unk_token: '?' },
      }),
    );
    await using backend = await startFakeBackend(say());
    await using gateway = await open({ models: { [fakeModel]: { context_length: 500, tokenizer: file } } }, backend.url);
    const { autoglm } = await read(gateway.post(chat, { model: fakeModel, messages: long, max_tokens: 100, autoglm: { fit: true } }));
    expect(autoglm?.fitted).toMatchObject({ prompt_tokens_max: 400, counted_by: 'tokenizer.json' });
    const messages = sent(backend.requests[0]?.body);
    expect(messages.reduce((sum, { content }) => sum + content.trim().split(/\s+/u).length + 4, 3)).toBe(autoglm?.fitted?.prompt_tokens);
  });

  /** Words are its tokens; a chat has a token around each message, and one before the answer. */
  const wordsOf = (text: string) => text.match(/\S+/gu)?.length ?? 0;
  type Asked = { readonly messages?: readonly { readonly content: string }[]; readonly prompt?: string; readonly content?: string };
  const servers: Readonly<Record<string, (route: string, asked: Asked) => object | undefined>> = {
    vLLM: (route, { messages, prompt }) =>
      route === '/tokenize'
        ? {
            count: messages ? messages.reduce((sum, { content }) => sum + wordsOf(content) + 1, 1) : wordsOf(prompt ?? ''),
            max_model_len: 4096,
            tokens: [],
          }
        : undefined,
    'llama.cpp': (route, { messages, content }) => {
      if (route === '/tokenize') return { tokens: Array.from({ length: wordsOf(content ?? '') }, () => 1) };
      return route === '/apply-template' ? { prompt: `${messages?.map((message) => `<m> ${message.content}`).join(' ')} <a>` } : undefined;
    },
  };

  it.each(Object.keys(servers))('counts as the server itself does, its chat template with it: %s', async (kind) => {
    const answer = say();
    await using backend = await startFakeBackend((response, { path: route, body, ...rest }) => {
      if (route.startsWith('/v1/')) return answer(response, { path: route, body, ...rest });
      const counted = servers[kind]?.(route, body as Asked);
      response
        .writeHead(counted ? 200 : 404, { 'content-type': 'application/json' })
        .end(JSON.stringify(counted ?? { error: { message: 'no' } }));
    });
    await using gateway = await open({ models: { [fakeModel]: { context_length: 500, tokenizer: 'server' } } }, backend.url);
    const { autoglm } = await read(gateway.post(chat, { model: fakeModel, messages: long, max_tokens: 100, autoglm: { fit: true } }));
    expect(autoglm?.fitted).toMatchObject({ prompt_tokens_max: 400, counted_by: 'server' });
    const messages = sent(backend.requests.findLast(({ path: route }) => route.startsWith('/v1/'))?.body);
    expect(messages.reduce((sum, { content }) => sum + wordsOf(content) + 1, 1)).toBe(autoglm?.fitted?.prompt_tokens);
    expect(autoglm?.fitted?.prompt_tokens).toBeLessThanOrEqual(400);
  });

  it.each([400, 422])(
    'counts the texts of chats where the server counts no chats, as SGLang, says so, and does not ask for one again: status %i',
    async (status) => {
      const answer = say();
      const refusal = "1 validation error:\n  {'type': 'missing', 'loc': ('body', 'prompt'), 'msg': 'Field required', 'input': {}}";
      await using backend = await startFakeBackend((response, { path: route, body, ...rest }) => {
        if (route.startsWith('/v1/')) return answer(response, { path: route, body, ...rest });
        const { prompt } = body as Asked;
        if (route !== '/tokenize') response.writeHead(404).end('{}');
        else if (prompt === undefined)
          response
            .writeHead(status, { 'content-type': 'application/json' })
            .end(
              JSON.stringify(
                status === 400
                  ? { object: 'error', message: refusal, code: 400 }
                  : { detail: [{ type: 'missing', loc: ['body', 'prompt'], msg: 'Field required' }] },
              ),
            );
        else
          response
            .writeHead(200, { 'content-type': 'application/json' })
            .end(JSON.stringify({ tokens: [], count: wordsOf(prompt), max_model_len: 4096 }));
      });
      await using gateway = await open({ models: { [fakeModel]: { context_length: 500, tokenizer: 'server' } } }, backend.url);
      const body = { model: fakeModel, messages: long, max_tokens: 100, autoglm: { fit: true } };
      const { autoglm } = await read(gateway.post(chat, body));
      expect(autoglm?.fitted).toMatchObject({ prompt_tokens_max: 400, counted_by: 'server, template estimated' });
      const messages = sent(backend.requests.findLast(({ path: route }) => route.startsWith('/v1/'))?.body);
      expect(messages.reduce((sum, { content }) => sum + wordsOf(content) + 4, 3)).toBe(autoglm?.fitted?.prompt_tokens);
      const chatsAsked = () =>
        backend.requests.filter(({ path: route, body: asked }) => !route.startsWith('/v1/') && 'messages' in asked).length;
      const before = chatsAsked();
      expect((await read(gateway.post(chat, { ...body, messages: [...long, ...long.slice(1)] }))).autoglm?.fitted).toMatchObject({
        counted_by: 'server, template estimated',
      });
      expect(chatsAsked()).toBe(before);
      // What counts texts only, says so of itself, whatever a chat has been counted by before.
      const { autoglm: ofText } = await read(
        gateway.post('/v1/completions', {
          model: fakeModel,
          prompt: long.map(({ content }) => content).join('\n'),
          max_tokens: 100,
          autoglm: { fit: true, compression: 'dedupe' },
        }),
      );
      expect([ofText?.fitted?.counted_by, ofText?.compressed?.counted_by]).toEqual([undefined, 'server']);
    },
  );

  it('says so where the server does not count, and does not guess', async () => {
    const answer = say();
    await using backend = await startFakeBackend((response, request) =>
      request.path.startsWith('/v1/') ? answer(response, request) : void response.writeHead(404).end('{}'),
    );
    await using gateway = await open({ models: { [fakeModel]: { context_length: 500, tokenizer: 'server' } } }, backend.url);
    const { error } = await read(gateway.post(chat, { model: fakeModel, messages: long, autoglm: { fit: true } }));
    expect(error).toMatchObject({ code: 'upstream_error', message: expect.stringContaining('/tokenize') });
  });

  it('tells the client what the server refuses to count', async () => {
    const answer = say();
    await using backend = await startFakeBackend((response, request) =>
      request.path.startsWith('/v1/')
        ? answer(response, request)
        : void response.writeHead(400).end('{"error": {"message": "Conversation roles must alternate."}}'),
    );
    await using gateway = await open({ models: { [fakeModel]: { context_length: 500, tokenizer: 'server' } } }, backend.url);
    const { error } = await read(gateway.post(chat, { model: fakeModel, messages: long, autoglm: { fit: true } }));
    expect(error).toMatchObject({ code: 'invalid_value', message: 'Conversation roles must alternate.' });
    expect(backend.requests.map(({ path: route }) => route)).toEqual(['/tokenize']);
  });

  it('does not go on counting for a client that has left', async () => {
    // Else its own limit would end the count, too, some seconds later.
    const limit = vi.spyOn(AbortSignal, 'timeout').mockReturnValue(new AbortController().signal);
    onTestFinished(() => limit.mockRestore());
    await using backend = await startFakeBackend(
      (response, { path: route }) => void (route === '/tokenize' || response.writeHead(404).end('{}')),
    );
    await using gateway = await open({ models: { [fakeModel]: { context_length: 500, tokenizer: 'server' } } }, backend.url);
    const leaving = new AbortController();
    const prompt = long.map(({ content }) => content).join('\n');
    const left = gateway
      .post('/v1/completions', { model: fakeModel, prompt, max_tokens: 100, autoglm: { fit: true } }, { signal: leaving.signal })
      .catch(() => 'left');
    await until(() => backend.openCount > 0 && backend.requests.some(({ path: route }) => route === '/tokenize'));
    leaving.abort();
    expect(await left).toBe('left');
    await until(() => backend.openCount === 0);
  });

  it('asks the next server where one fails to count', async () => {
    const answer = say();
    const counting = (status: number) =>
      startFakeBackend((response, request) => {
        if (request.path.startsWith('/v1/')) return answer(response, request);
        response
          .writeHead(status, { 'content-type': 'application/json' })
          .end(JSON.stringify(servers['vLLM']?.(request.path, request.body as Asked)));
      });
    await using broken = await counting(500);
    await using sound = await counting(200);
    const engines = [broken, sound].map(({ url }, index) => ({ kind: 'openai', name: `fake-${index}`, url, model: fakeModel }));
    await using gateway = await startGatewayWith({
      engines,
      fit: { models: { [fakeModel]: { context_length: 500, tokenizer: 'server' } } },
    });
    const { autoglm } = await read(gateway.post(chat, { model: fakeModel, messages: long, max_tokens: 100, autoglm: { fit: true } }));
    expect(autoglm?.fitted).toMatchObject({ prompt_tokens_max: 400, counted_by: 'server' });
    expect(broken.requests.map(({ path: route }) => route)).toContain('/tokenize');
  });

  it('waits so long for a count and no longer, and asks nothing more where one has failed', async () => {
    await using backend = await startFakeBackend(() => {});
    const pool = new Pool(new URL(backend.url).origin);
    const tokens = upstreamTokens({
      name: 'fake',
      dispatcher: pool,
      base: '/v1',
      headers: ['content-type', 'application/json'],
      model: fakeModel,
    });
    await expect(tokens.countTexts(['a', 'b'], AbortSignal.timeout(20))).rejects.toMatchObject({ code: 'upstream_timeout' });
    await until(() => backend.openCount === 0);
    backend.behave((response, { body }) => void (body['prompt'] === 'wrong' && response.writeHead(500).end()));
    await expect(tokens.countTexts(['a', 'b', 'wrong'], new AbortController().signal)).rejects.toMatchObject({ code: 'upstream_error' });
    await until(() => backend.openCount === 0);
    await pool.close();
  });

  it('keeps images and calls whole, in the words of the client', async () => {
    await using backend = await startFakeBackend(say());
    await using gateway = await open({ models: { [fakeModel]: { context_length: 100_000 } } }, backend.url);
    const image = {
      role: 'user',
      content: [
        { type: 'text', text: 'Look at this.' },
        { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } },
      ],
    };
    const calls = [
      { role: 'assistant', content: null, tool_calls: [{ id: 'a', type: 'function', function: { name: 'look', arguments: '{}' } }] },
      { role: 'tool', tool_call_id: 'a', content: 'A heron.' },
    ];
    const { autoglm } = await read(
      gateway.post(chat, {
        model: fakeModel,
        messages: [...long.slice(0, -1), image, ...calls, { role: 'assistant', content: 'A heron.' }, { role: 'user', content: 'Why?' }],
        autoglm: { fit: { prompt_tokens_max: 1600 } },
      }),
    );
    expect(autoglm?.fitted?.prompt_tokens).toBeLessThanOrEqual(1600);
    expect(sent(backend.requests[0]?.body).slice(-5)).toEqual([
      image,
      ...calls,
      { role: 'assistant', content: 'A heron.' },
      { role: 'user', content: 'Why?' },
    ]);
  });

  it('says so where the room is not known', async () => {
    await using backend = await startFakeBackend(say());
    await using gateway = await open({ enabled: true }, backend.url, 'renamed');
    backend.list((response) => response.end('{"data": []}'));
    await using unknown = await open({ enabled: true }, `${backend.url}`, 'renamed');
    const body = { model: 'renamed', messages: long };
    expect((await read(unknown.post(chat, { ...body, autoglm: { fit: true } }))).error).toMatchObject({
      code: 'unsupported_feature',
      param: 'autoglm.fit',
    });
    // Nobody asked: the server judges what it reads.
    expect((await read(unknown.post(chat, body))).error).toBeUndefined();
    expect(gateway.url).not.toBe(unknown.url);
  });
});

describe('the configuration of fit', () => {
  it('is refused where it cannot work', async () => {
    await expect(
      startGatewayWith({
        engines: [{ kind: 'openai', url: 'http://127.0.0.1:1/v1', model: 'm' }],
        fit: { models: { m: { tokenizer: 'missing.json' } } },
      }),
    ).rejects.toThrow(/fit\.models\.m\.tokenizer is "missing\.json", which is no file/);
    await expect(startGatewayWith({ fit: { enable: true } })).rejects.toThrow(ConfigError);
  });

  it('fits every prompt where it says so, but for those that ask for something else', async () => {
    expect(defaultConfig.fit).toEqual({ enabled: false, reserve_tokens: 512, recent_turns: 2, models: {} });
    await using gateway = await startGatewayWith({ engines: [{ kind: 'mock', model: 'm' }], fit: { enabled: true } });
    const body = { model: 'm', messages: long };
    expect((await read(gateway.post(chat, body))).autoglm?.fitted).toMatchObject({ prompt_tokens_max: 3584 });
    expect((await read(gateway.post(chat, { ...body, autoglm: { fit: false } }))).autoglm).not.toHaveProperty('fitted');
    expect((await read(gateway.post(chat, { ...body, autoglm: { context_strategy: { kind: 'window' } } }))).autoglm).not.toHaveProperty(
      'fitted',
    );
  });
});
