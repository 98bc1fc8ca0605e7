import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { run, start, type RunningProgram } from './support.ts';

const question = '请写一篇关于人工智能的长文章，详细介绍它的历史和应用。';

describe('autoglm serve', () => {
  let server: RunningProgram;
  afterEach(() => server?.child.kill('SIGKILL'));

  async function serve(...args: string[]): Promise<string> {
    server = start(['serve', '--port', '0', '--threads', '1', ...args]);
    const [, url] = await server.saidOn('stdout', /^listening on (http:\/\/127\.0\.0\.1:\d+)\n/);
    return url as string;
  }

  /** Resolves when the answer has begun. */
  function ask(url: string, content: string, maxTokens: number): Promise<Response> {
    const body = { model: 'default', stream: true, temperature: 0, max_tokens: maxTokens, messages: [{ role: 'user', content }] };
    return fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  }

  it('listens, gets ready, answers, and ends running answers before it ends', async () => {
    const url = await serve();
    await server.saidOn('stderr', /^ready: minimind2-small in \d+ ms$/m);
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    const answer = await ask(url, question, 60);
    expect(answer.status).toBe(200);
    server.child.kill('SIGTERM');
    await server.saidOn('stderr', /^stopping: /m);
    const text = await answer.text();
    expect(text).toContain('"finish_reason":"length"');
    expect(text).toMatch(/data: \[DONE\]\n\n$/);
    expect(await server.ended).toBe(0);
    expect(server.stdout).toBe(`listening on ${url}\n`);
  });

  it('does not wait for running answers after a second signal', async () => {
    const url = await serve();
    const answer = await ask(url, question, 4000);
    const reading = answer.text().catch((error: Error) => error);
    server.child.kill('SIGINT');
    await server.saidOn('stderr', /^stopping: /m);
    server.child.kill('SIGINT');
    expect(await server.ended).toBe(130);
    expect(await reading).toBeInstanceOf(Error);
  });

  it('ends with what to do when the model cannot be loaded', async () => {
    const { code, stdout, stderr } = await run(['serve', '--port', '0', '--model', '/absent/model.gguf']);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^listening on .*\n$/);
    expect(stderr).toMatch(/^autoglm: .*\/absent\/model\.gguf.*\n$/);
  });

  it('asks nobody for a key on the command line, whatever the configuration wants of others', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'autoglm-chat-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const config = path.join(folder, 'config.yaml');
    await writeFile(config, 'auth: {keys: [{name: shop, key_env: SHOP_KEY}]}\nlimits: {keys: {shop: {requests_per_minute: 1}}}\n');
    const { code, stderr } = await run(['chat', '--max-tokens', '4', '你好'], {
      env: { AUTOGLM_THREADS: '1', AUTOGLM_CONFIG: config, SHOP_KEY: 'shop-key-1' },
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });

  it('answers on the command line by itself', async () => {
    const { code, stdout, stderr } = await run(['chat', '--temperature', '0', '中国的首都是哪里？'], { env: { AUTOGLM_THREADS: '1' } });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('北京');
  });
});
