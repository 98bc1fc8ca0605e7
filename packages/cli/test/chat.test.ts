import {
  createMockEngine,
  defaultConfig,
  loadConfig,
  startGateway,
  type Gateway,
  type MockEngine,
  type MockScript,
} from '@open-autoglm/gateway';
import { AutoglmError } from '@open-autoglm/protocol';
import { afterEach, describe, expect, it } from 'vitest';
import { withoutControls } from '../src/chat/answer.ts';
import { event, startScriptedServer, streamHead, textChunk, type Behaviour } from './replay/scripted-server.ts';
import { withFile } from './replay/trace-file.ts';
import { run, start } from './support.ts';

describe('autoglm chat, with a server', () => {
  let gateway: Gateway;
  let engine: MockEngine;
  afterEach(() => gateway?.drain());

  async function serve(script: MockScript = {}): Promise<string> {
    engine = createMockEngine(script);
    gateway = await startGateway({
      config: { ...defaultConfig, server: { ...defaultConfig.server, port: 0, drain_timeout_ms: 1 } },
      engine,
    });
    return gateway.url;
  }
  const promptOf = (index: number) => {
    const prompt = engine.requests[index]?.prompt;
    return prompt && 'segments' in prompt ? prompt.segments.map(({ text }) => text).join('') : '';
  };

  it('prints the answer, and nothing else', async () => {
    expect(await run(['chat', '--url', await serve(), '你好'])).toEqual({ code: 0, stdout: '你好，世界！\n', stderr: '' });
  });

  it('streams: what has come is printed before the answer ends', async () => {
    const gate = Promise.withResolvers<void>();
    const url = await serve({ beforeToken: (index) => (index === 3 ? gate.promise : undefined) });
    const chat = start(['chat', '--url', url, '你好']);
    await chat.saidOn('stdout', /你好，/);
    gate.resolve();
    expect(await chat.ended).toBe(0);
    expect(chat.stdout).toBe('你好，世界！\n');
  });

  it('sends what its options say, and takes the server from the environment', async () => {
    const url = await serve();
    const options = [
      '--system',
      '你是诗人',
      '--temperature',
      '0.5',
      '--top-p',
      '0.8',
      '--max-tokens',
      '2',
      '--seed',
      '7',
      '--model',
      'mock',
    ];
    const { stdout } = await run(['chat', ...options, '写', '诗'], { env: { AUTOGLM_URL: `${url}/v1/` } });
    expect(stdout).toBe('你好\n');
    expect(engine.requests[0]).toMatchObject({ maxTokens: 2, sampling: { temperature: 0.5, topP: 0.8, seed: 7 } });
    expect(promptOf(0)).toContain('system\n你是诗人<|im_end|>\n<|im_start|>user\n写 诗<|im_end|>');
  });

  it('asks a server that has no default for the first model that it lists, also its own', async () => {
    await using file = await withFile('{"engines": [{"kind": "mock", "model": "theirs"}]}', 'config.yaml');
    gateway = await startGateway({
      config: { ...loadConfig({ file: file.path, env: {} }), server: { ...defaultConfig.server, port: 0, drain_timeout_ms: 1 } },
    });
    const answered = { code: 0, stdout: expect.stringContaining('你好') as string, stderr: '' };
    expect(await run(['chat', '--url', gateway.url, '你好'])).toEqual(answered);
    expect(await run(['chat', '你好'], { env: { AUTOGLM_CONFIG: file.path } })).toEqual(answered);
  });

  it('asks its own server for what the configuration says, whichever is ready first', async () => {
    const theirs = JSON.stringify({ kind: 'openai', url: `${await serve()}/v1`, model: 'theirs', upstream_model: 'default' });
    await using remote = await withFile(`{"engines": [${theirs}]}`, 'config.yaml');
    expect(await run(['chat', '你好'], { env: { AUTOGLM_CONFIG: remote.path } })).toEqual({
      code: 0,
      stdout: '你好，世界！\n',
      stderr: '',
    });
    await using mock = await withFile('{"engines": [{"kind": "mock", "model": "theirs"}]}', 'config.yaml');
    expect(await run(['chat', '--model', 'nowhere.gguf', '你好'], { env: { AUTOGLM_CONFIG: mock.path } })).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('nowhere.gguf') as string,
    });
  });

  it('waits for the default that a server is loading, whatever else it lists', async () => {
    await using file = await withFile(
      '{"model_config": {"path": "default"}, "engines": [{"kind": "mock", "model": "theirs"}]}',
      'config.yaml',
    );
    const config = loadConfig({ file: file.path, env: {} });
    engine = createMockEngine({ loaded: new Promise(() => {}) });
    gateway = await startGateway({
      config: { ...config, server: { ...config.server, port: 0, drain_timeout_ms: 1, ready_timeout_ms: 1 } },
      engine,
    });
    expect(await run(['chat', '--url', gateway.url, '你好'])).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('loading') as string,
    });
  });

  it('shows the key that a server wants', async () => {
    engine = createMockEngine();
    const auth = { keys: [{ name: 'shop', key_env: 'SHOP_KEY' }] };
    gateway = await startGateway({
      config: { ...defaultConfig, auth, server: { ...defaultConfig.server, port: 0, drain_timeout_ms: 1 } },
      engine,
      env: { SHOP_KEY: 'shop-key-1' },
    });
    const { code, stderr } = await run(['chat', '--url', gateway.url, '你好']);
    expect({ code, stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/wants an API key.* Put it into AUTOGLM_API_KEY\.\n$/) as string,
    });
    expect((await run(['chat', '--url', gateway.url, '你好'], { env: { AUTOGLM_API_KEY: 'shop-key-1' } })).stdout).toBe('你好，世界！\n');
  });

  it('reads the prompt from a pipe, alone or where "-" stands', async () => {
    const url = await serve();
    await run(['chat', '--url', url], { input: '从管道来\n' });
    await run(['chat', '--url', url, '总结：', '-'], { input: '一篇文章\n' });
    expect(promptOf(0)).toContain('user\n从管道来<|im_end|>');
    expect(promptOf(1)).toContain('user\n总结： 一篇文章<|im_end|>');
    expect(await run(['chat', '--url', url], { input: ' \n' })).toEqual({ code: 1, stdout: '', stderr: 'autoglm: The prompt is empty.\n' });
  });

  it("ends with the server's own message when it refuses", async () => {
    const { code, stdout, stderr } = await run(['chat', '--url', await serve(), '--temperature', '9', '你好']);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^autoglm: .*temperature.*\n$/);
  });

  it('ends with an error when the answer breaks off, after what came', async () => {
    const url = await serve({
      beforeToken(index) {
        if (index === 2) throw new AutoglmError('engine_crashed', 'The engine process ended unexpectedly.');
      },
    });
    expect(await run(['chat', '--url', url, '你好'])).toEqual({
      code: 1,
      stdout: '你好\n',
      stderr: 'autoglm: The engine process ended unexpectedly.\n',
    });
  });

  it('says that no server answers', async () => {
    const url = await serve();
    await gateway.drain();
    expect(await run(['chat', '--url', url, '你好'])).toEqual({
      code: 1,
      stdout: '',
      stderr: `autoglm: No server answers at ${url}. Start one with: autoglm serve\n`,
    });
    expect((await run(['chat', '--url', 'localhost', '你好'])).stderr).toMatch(/^autoglm: localhost is not a URL such as/);
  });

  it('stops at Ctrl-C, and the engine is free', async () => {
    const url = await serve({ beforeToken: (index) => (index === 2 ? new Promise<void>(() => {}) : undefined) });
    const chat = start(['chat', '--url', url, '你好']);
    await chat.saidOn('stdout', /你好/);
    chat.child.kill('SIGINT');
    expect(await chat.ended).toBe(130);
    expect(chat.stdout).toBe('你好\n');
    expect(chat.stderr).toBe('');
    await expect.poll(() => engine.runningCount).toBe(0);
  });

  it('ends quietly when nobody reads its output any more', async () => {
    const gate = Promise.withResolvers<void>();
    const url = await serve({ beforeToken: (index) => (index === 2 ? gate.promise : undefined) });
    const chat = start(['chat', '--url', url, '你好']);
    await chat.saidOn('stdout', /你好/);
    chat.child.stdout?.destroy();
    gate.resolve();
    expect(await chat.ended).toBe(0);
    expect(chat.stderr).toBe('');
  });
});

describe('autoglm chat, with a server of another kind', () => {
  const finish = event({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] });
  const says =
    (status: number, body: unknown): Behaviour =>
    (response) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  const streams =
    (...events: readonly string[]): Behaviour =>
    (response) => (streamHead(response), response.end(events.join('')));
  const chatWith = async (behave: Behaviour) => {
    await using server = await startScriptedServer({ behave });
    return await run(['chat', '--url', server.url, '--model', 'm', '你好']);
  };

  it('takes an answer with a finish_reason for whole, also without [DONE]', async () => {
    expect(await chatWith(streams(textChunk('好'), finish))).toEqual({ code: 0, stdout: '好\n', stderr: '' });
    expect(await chatWith(streams(textChunk('好')))).toEqual({
      code: 1,
      stdout: '好\n',
      stderr: 'autoglm: The connection was lost; the answer is incomplete.\n',
    });
  });

  it.each([
    ['a refusal that is only a text', says(404, { error: 'no such model' }), /^autoglm: no such model\n$/],
    ['a refusal in another form', says(422, { detail: 'messages: field required' }), /^autoglm: messages: field required\n$/],
    ['a refusal that says nothing', says(400, { error: { message: { at: 1 } } }), /^autoglm: The server answered with status 400; is http/],
    ['an error event that is only a text', streams(event({ error: 'out of memory\u001b[2J' })), /^autoglm: out of memory\\u\{1b\}\[2J\n$/],
    [
      'an event that is no object',
      streams('data: null\n\n'),
      /^autoglm: The server at http\S+ sent no answer: an event is not a JSON object\.\n$/,
    ],
    ['content that is no text', streams(event({ choices: [{ index: 0, delta: { content: 7 } }] })), /^autoglm: The connection was lost/],
    [
      'a whole answer, where a stream was asked for',
      says(200, { choices: [] }),
      /^autoglm: The server sent no event stream, but application\/json; is http/,
    ],
  ])('tells of %s', async (_, behave, message) => {
    expect(await chatWith(behave)).toEqual({ code: 1, stdout: '', stderr: expect.stringMatching(message) as string });
  });

  it('gives a terminal no control character but ends of lines and tabs', () => {
    expect(withoutControls('一\t二\n\u001b]0;title\u0007👩‍🌾')).toBe('一\t二\n\\u{1b}]0;title\\u{7}👩‍🌾');
    expect(withoutControls('一\r\n二\r三')).toBe('一\r\n二\\u{d}三');
  });

  it('starts no model where the URL is empty', async () => {
    expect(await run(['chat', '--url', '', '你好'])).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^error: option '-u, --url <url>' argument '' is invalid\. It must not be empty\./) as string,
    });
  });
});
