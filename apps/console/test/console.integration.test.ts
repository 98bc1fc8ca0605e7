import { hash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  createMockEngine,
  defaultConfig,
  loadConfig,
  startGateway,
  type Config,
  type Gateway,
  type MockEngine,
  type MockScript,
} from '@open-autoglm/gateway';
import { AutoglmError } from '@open-autoglm/protocol';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { findChromium, launchChromium } from './browser.ts';

const chromium = findChromium();
if (!chromium) process.stderr.write('skipped: the console in a browser (no Chromium on the PATH; AUTOGLM_CHROMIUM names one)\n');

const config = {
  ...defaultConfig,
  server: { ...defaultConfig.server, port: 0, drain_timeout_ms: 1 },
  model_config: { ...defaultConfig.model_config, threads: 1 },
};
const poem = [...'秋风起，<b>落叶</b>黄。\n归雁成行。'];

/** Lets the mock go on token by token, as the test says. */
function createGate() {
  let isOpen = Promise.withResolvers<void>();
  return {
    pass: () => isOpen.promise,
    open: () => isOpen.resolve(),
    close: () => (isOpen = Promise.withResolvers<void>()),
  };
}

describe.skipIf(!chromium)('console', () => {
  let browser: Browser;
  let context: BrowserContext;
  let gateway: Gateway;
  let engine: MockEngine;
  let page: Page;
  /** What the page complained of. */
  let complaints: string[];

  beforeAll(async () => {
    browser = await launchChromium(chromium as string);
  }, 60_000);
  afterAll(() => browser?.close());
  afterEach(async () => {
    await context?.close();
    await gateway?.drain();
  });

  async function open(script: MockScript = {}, locale = 'en-US', more: Partial<Config> = {}): Promise<void> {
    engine = createMockEngine({ tokens: poem, ...script });
    gateway = await startGateway({ config: { ...config, ...more }, engine });
    await openPage(locale);
  }

  async function openPage(locale = 'en-US'): Promise<void> {
    context = await browser.newContext({ locale, permissions: ['clipboard-read', 'clipboard-write'] });
    page = await context.newPage();
    complaints = [];
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('request', (request) => request.url().startsWith(gateway.url) || complaints.push(request.url()));
    await page.goto(gateway.url);
  }

  const prompt = () => page.getByRole('textbox', { name: /^(Message|消息)$/ });
  const answers = () => page.locator('.assistant');
  const button = (name: string) => page.getByRole('button', { name });
  async function send(text: string): Promise<void> {
    await prompt().fill(text);
    await prompt().press('Enter');
  }

  it('loads without a complaint and tells which model answers', async () => {
    await open({ model: { source: 'some-model', parameterCount: 25_829_888 } });
    await page.getByRole('status').getByText('some-model').waitFor();
    await page.getByText('25.8M parameters').waitFor();
    expect(await page.title()).toBe('open-autoglm');
    expect(await button('Send').isDisabled()).toBe(true);
    expect(complaints).toEqual([]);
  });

  it('tells of a model of another server what is known of it', async () => {
    const far = createServer((_, response) =>
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"data":[{"id":"far"},{"id":"near","max_model_len":4096}]}'),
    );
    await once(far.listen(0, '127.0.0.1'), 'listening');
    const url = `http://127.0.0.1:${(far.address() as AddressInfo).port}/v1`;
    try {
      for (const [model, facts] of [
        ['far', 'far'],
        ['near', 'near · 4,096 tokens of context'],
      ] as const) {
        gateway = await startGateway({
          config: loadConfig({ env: {}, overrides: { server: config.server, engines: [{ kind: 'openai', url, model }] } }),
        });
        await openPage();
        await page.getByRole('status').getByText(model).waitFor();
        expect(await page.locator('#facts').textContent()).toBe(facts);
        expect(complaints).toEqual([]);
        await context.close();
        await gateway.drain();
      }
    } finally {
      far.close();
    }
  });

  it('shows how the server does while the panel is open, and asks for it only then', async () => {
    await open();
    let asked = 0;
    page.on('request', (request) => (asked += Number(request.url().endsWith('/metrics'))));
    const panel = page.getByRole('region', { name: 'The server, over the last minute' });
    const figure = (label: string) => panel.locator('dt', { hasText: label }).locator('xpath=following-sibling::dd');
    await send('写一首诗');
    await answers().and(page.locator('[aria-busy=false]')).waitFor();
    expect(asked).toBe(0);
    await button('Live').click();
    await figure('under way').getByText('0, 0').waitFor();
    await figure('requests/s').getByText('0.0').waitFor();
    await send('再写一首');
    await figure('tokens written/s').getByText(/[1-9]/).waitFor();
    await figure('TTFT')
      .getByText(/\d ms$/)
      .waitFor();
    await button('Live').click();
    await panel.waitFor({ state: 'hidden' });
    expect(complaints).toEqual([]);
  });

  it('says so where metrics are switched off', async () => {
    await open({}, 'zh-CN', { observability: { ...config.observability, metrics: { enabled: false } } });
    await button('实时').click();
    await page.getByText('此服务关闭了指标').waitFor();
  });

  it('streams an answer as text, and tells how fast it was', async () => {
    const gate = createGate();
    await open({ beforeToken: (index) => (index === 4 ? gate.pass() : undefined) });
    await send('写一首诗');
    await answers().getByText('秋风起，').waitFor();
    expect(await answers().getAttribute('aria-busy')).toBe('true');
    await answers().locator('[data-figure=ttft]').getByText('ms').waitFor();
    gate.open();
    await answers().locator('.text').getByText('<b>落叶</b>').waitFor();
    await page.getByRole('article', { name: 'Model' }).and(page.locator('[aria-busy=false]')).waitFor();
    expect(await answers().locator('.text').textContent()).toBe(poem.join(''));
    expect(await answers().locator('[data-figure=tokens]').textContent()).toBe(String(poem.length));
    expect(await answers().locator('[data-figure=rate]').textContent()).toMatch(/^[\d,.]+$/);
    await button('where the time went').click();
    await answers().getByText('prefill').waitFor();
    await answers().locator('.segments').getByText('other').waitFor();
    await button('Copy').click();
    expect(await page.evaluate('navigator.clipboard.readText()')).toBe(poem.join(''));
    expect(complaints).toEqual([]);
  });

  it('stops in mid-stream: the engine is free, and what came belongs to the conversation', async () => {
    const gate = createGate();
    await open({ beforeToken: (index) => (index === 3 ? gate.pass() : undefined) });
    await send('第一');
    await answers().getByText('秋风起').waitFor();
    expect(engine.runningCount).toBe(1);
    await prompt().press('Escape');
    await answers().getByText('stopped').waitFor();
    await expect.poll(() => engine.runningCount).toBe(0);
    gate.open();
    await send('第二');
    await expect.poll(() => engine.requests.length).toBe(2);
    expect(promptOf(engine, 1)).toContain('第一<|im_end|>\n<|im_start|>assistant\n秋风起<|im_end|>');
    await answers().nth(1).and(page.locator('[aria-busy=false]')).waitFor();
    expect(complaints).toEqual([]);
  });

  it('stops with its button, and begins anew', async () => {
    await open({ beforeToken: (index) => (index === 3 ? createGate().pass() : undefined) });
    await button('写一首关于秋天的短诗').click();
    await answers().getByText('秋风起').waitFor();
    await button('Stop').click();
    await answers().getByText('stopped').waitFor();
    await button('New chat').click();
    await page.getByRole('heading', { name: 'What would you like to know?' }).waitFor();
    expect(await answers().count()).toBe(0);
    await send('新的问题');
    await expect.poll(() => engine.requests.length).toBe(2);
    expect(promptOf(engine, 1)).not.toContain('秋');
  });

  it('clears while an answer runs, and nothing of it comes back', async () => {
    await open({
      beforeToken: (index, request) => (index === 3 && promptText(request.prompt).includes('旧') ? createGate().pass() : undefined),
    });
    await send('旧');
    await answers().getByText('秋风起').waitFor();
    await button('New chat').click();
    await expect.poll(() => engine.runningCount).toBe(0);
    await send('新');
    await answers().and(page.locator('[aria-busy=false]')).waitFor();
    expect(await answers().count()).toBe(1);
    expect(promptOf(engine, 1)).not.toContain('旧');
  });

  it('sends the settings, remembers them, and refuses those that make no sense', async () => {
    await open();
    await button('Settings').click();
    await page.getByLabel('System prompt').fill('你是一个诗人');
    await page.getByLabel('Temperature').fill('0.3');
    await page.getByLabel('top_p').fill('0.5');
    await page.getByLabel('Max tokens').fill('5');
    await page.getByLabel('Seed').fill('42');
    await page.keyboard.press('Escape');
    await page.reload();
    await send('你好');
    await answers().getByText('cut at max tokens').waitFor();
    expect(engine.requests[0]).toMatchObject({ maxTokens: 5, sampling: { temperature: 0.3, topP: 0.5, seed: 42 } });
    expect(promptOf(engine, 0)).toContain('system\n你是一个诗人');

    await button('Settings').click();
    await page.getByLabel('Max tokens').fill('-1');
    await page.keyboard.press('Escape');
    await send('再来');
    await page.getByLabel('Max tokens').waitFor();
    expect(engine.requests.length).toBe(1);
    await button('Reset').click();
    expect(await page.getByLabel('Max tokens').inputValue()).toBe('1024');
  });

  it.each([
    {
      locale: 'en-US',
      label: 'API key',
      needed: 'API key needed',
      title: 'The server wants an API key.',
      unknown: 'API key not known',
      unknownTitle: 'The server does not know this API key.',
      again: 'Try again',
    },
    {
      locale: 'zh-CN',
      label: 'API 密钥',
      needed: '需要 API 密钥',
      title: '服务需要 API 密钥。',
      unknown: 'API 密钥无效',
      unknownTitle: '服务不认识这个 API 密钥。',
      again: '重试',
    },
  ])(
    'asks for the key that the server wants, and forgets it with the tab: $locale',
    async ({ locale, label, needed, title, unknown, unknownTitle, again }) => {
      await open({}, locale, { auth: { keys: [{ name: 'people', key_sha256: hash('sha256', 'sk-right-0123456789') }] } });
      const key = page.getByLabel(label);
      await page.getByRole('status').getByText(needed).waitFor();
      await expect.poll(() => key.evaluate((field) => field.matches(':focus'))).toBe(true);
      expect(await key.getAttribute('type')).toBe('password');
      await page.keyboard.press('Escape');
      await send('你好');
      await page.getByRole('alert').getByText(title).waitFor();
      await key.fill('sk-wrong');
      await key.press('Enter');
      await expect.poll(() => key.evaluate((field) => field.matches(':focus'))).toBe(true);
      await page.getByRole('status').getByText(unknown).waitFor();
      await page.keyboard.press('Escape');
      await button(again).click();
      await page.getByRole('alert').getByText(unknownTitle).waitFor();
      await key.fill('没有这样的密钥');
      await key.press('Enter');
      expect(await key.evaluate((field) => field.matches(':invalid:focus'))).toBe(true);
      await key.fill(' sk-right-0123456789 ');
      await key.press('Enter');
      await page.getByRole('status').getByText('mock').waitFor();
      expect(await key.isVisible()).toBe(false);
      await button(again).click();
      await answers().and(page.locator('[aria-busy=false]')).waitFor();
      expect(await answers().locator('.text').textContent()).toBe(poem.join(''));
      // Nothing was asked with a key that no header can hold; the browser itself complains of each 401.
      expect(complaints.filter((complaint) => !complaint.includes('401'))).toEqual([]);

      await page.reload();
      await page.getByRole('status').getByText('mock').waitFor();
      expect(await page.evaluate('JSON.stringify(localStorage)')).not.toContain('sk-right');
      await context.newPage().then((other) => (page = other));
      await page.goto(gateway.url);
      await page.getByRole('status').getByText(needed).waitFor();
    },
  );

  it("shows the server's own error and asks again", async () => {
    let isBroken = true;
    await open({
      beforeToken() {
        if (isBroken) throw new AutoglmError('queue_full', 'Too many requests are waiting.');
      },
    });
    await send('你好');
    await page.getByRole('alert').getByText('Too many requests are waiting.').waitFor();
    isBroken = false;
    await button('Try again').click();
    await answers().and(page.locator('[aria-busy=false]')).waitFor();
    expect(await page.locator('.user').count()).toBe(1);
    expect(await page.getByRole('alert').count()).toBe(0);
    expect(promptOf(engine, 1).match(/你好/g)?.length).toBe(1);
  });

  it('marks an answer that breaks off, and keeps what came', async () => {
    await open({
      beforeToken(index) {
        if (index === 3) throw new AutoglmError('engine_crashed', 'The engine process ended unexpectedly.');
      },
    });
    await send('你好');
    await page.getByRole('alert').getByText('The engine process ended unexpectedly.').waitFor();
    expect(await answers().locator('.text').textContent()).toBe('秋风起');
  });

  it('says that the server is gone', async () => {
    await open();
    await page.getByRole('status').getByText('mock').waitFor();
    await gateway.drain();
    await send('你好');
    await page.getByRole('alert').getByText('The server cannot be reached.').waitFor();
    await page.getByRole('status').getByText('server unreachable').waitFor();
  });

  it('waits with the person while the model loads', async () => {
    const loading = Promise.withResolvers<void>();
    await open({ loaded: loading.promise });
    await page.getByRole('status').getByText('model is loading…').waitFor();
    await page.getByRole('status').getByText('The mock is loading.').waitFor();
    await send('你好');
    loading.resolve();
    await answers().and(page.locator('[aria-busy=false]')).waitFor();
    await page.getByRole('status').getByText('mock', { exact: true }).waitFor();
  });

  it('speaks the language of the browser, and the other one when asked, also the next time', async () => {
    await open({}, 'zh-CN');
    await page.getByRole('heading', { name: '想聊点什么？' }).waitFor();
    expect(await page.locator('html').getAttribute('lang')).toBe('zh-CN');
    await send('你好');
    await answers().and(page.locator('[aria-busy=false]')).waitFor();
    await answers().getByText('首 token').waitFor();
    await button('Switch to English').click();
    await answers().getByText('TTFT').waitFor();
    await page.reload();
    await page.getByRole('heading', { name: 'What would you like to know?' }).waitFor();
  });

  it('shows what the built-in model says', async () => {
    gateway = await startGateway({ config });
    await openPage();
    await button('Settings').click();
    await page.getByLabel('Temperature').fill('0');
    await page.keyboard.press('Escape');
    await button('中国的首都是哪里？').click();
    await answers().getByText('北京').waitFor();
    await answers().and(page.locator('[aria-busy=false]')).waitFor();
    await page.getByRole('status').getByText('minimind2-small').waitFor();
    expect(await page.getByRole('alert').count()).toBe(0);
  });

  it('leaves Enter to an input method that is composing, and Shift+Enter to the text', async () => {
    await open();
    await prompt().fill('nihao');
    await prompt().dispatchEvent('keydown', { key: 'Enter', isComposing: true });
    await prompt().press('Shift+Enter');
    await prompt().pressSequentially('第二行');
    expect(await answers().count()).toBe(0);
    await prompt().press('Enter');
    await expect.poll(() => engine.requests.length).toBe(1);
    expect(promptOf(engine, 0)).toContain('nihao\n第二行');
  });
});

function promptOf(engine: MockEngine, index: number): string {
  const request = engine.requests[index];
  return request ? promptText(request.prompt) : '';
}

function promptText(prompt: MockEngine['requests'][number]['prompt']): string {
  return 'segments' in prompt ? prompt.segments.map(({ text }) => text).join('') : '';
}
