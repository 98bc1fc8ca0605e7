import { createReadStream, readFileSync } from 'node:fs';
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import { stripTypeScriptTypes } from 'node:module';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { findChromium, launchChromium } from '../../../apps/console/test/browser.ts';
import { startServer, until } from './support.ts';

const chromium = findChromium();
const source = fileURLToPath(new URL('../src', import.meta.url));
const codec = path.dirname(fileURLToPath(import.meta.resolve('msgpackr')));

const page = `<!doctype html><script type="importmap">{"imports": {"msgpackr": "/msgpackr/index.js"}}</script>`;

/** The page's own server: the client's modules as a bundler would find them, and the gateway under the same origin. */
async function servePage(gateway: string): Promise<{ readonly url: string } & AsyncDisposable> {
  const serve = (message: IncomingMessage, response: ServerResponse): void => {
    const [, folder, name = ''] = (message.url ?? '').split('/', 3);
    if (folder === 'v1') {
      const upstream = request(`${gateway}${message.url}`, { method: message.method, headers: message.headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      });
      upstream.on('error', () => response.destroy());
      response.once('close', () => upstream.destroy());
      message.pipe(upstream);
    } else if (folder === 'client')
      response
        .writeHead(200, { 'content-type': 'text/javascript' })
        .end(stripTypeScriptTypes(readFileSync(path.join(source, name), 'utf8')));
    else if (folder === 'msgpackr')
      createReadStream(path.join(codec, name)).pipe(response.writeHead(200, { 'content-type': 'text/javascript' }));
    else response.writeHead(200, { 'content-type': 'text/html' }).end(page);
  };
  const server = createServer(serve);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

it.skipIf(!chromium)('the client works in a browser (skipped where there is no Chromium)', async () => {
  await using server = await startServer();
  await using site = await servePage(server.url);
  const browser = await launchChromium(chromium as string);
  try {
    const tab = await browser.newPage();
    await tab.goto(site.url);
    const seen = await tab.evaluate(`(async () => {
      const { createClient } = await import('/client/index.ts');
      const seen = {};
      for (const encoding of ['json', 'msgpack']) {
        const client = createClient({ encoding });
        const session = await client.sessions.create({ model: 'default', messages: [{ role: 'user', content: '你好' }] });
        await session.complete();
        session.messages.push({ role: 'user', content: '再见' });
        let text = '';
        for await (const { choices } of await session.stream({ max_tokens: 2 })) text += choices[0]?.delta.content ?? '';
        seen[encoding] = [text, session.messages.length];
      }
      window.client = createClient();
      for (let index = 0; index < 7; index += 1) window.client.track('page');
      return seen;
    })()`);
    expect(seen).toEqual({ json: ['你好', 4], msgpack: ['你好', 4] });
    // What was tracked is sent when the page is left, and nobody waits for it.
    await tab.goto('about:blank');
    await until(async () =>
      (await (await fetch(`${server.url}/metrics`)).text()).includes('autoglm_client_events_total{event="page"} 7\n'),
    );
  } finally {
    await browser.close();
  }
});

it.skipIf(!chromium)(
  'a page of another origin needs no proxy where the server allows it (skipped where there is no Chromium)',
  async () => {
    await using site = await servePage('http://127.0.0.1:1');
    await using server = await startServer({}, {}, { cors: { origins: [site.url], max_age_seconds: 0 } });
    await using closed = await startServer();
    const browser = await launchChromium(chromium as string);
    try {
      const tab = await browser.newPage();
      await tab.goto(site.url);
      const seen = await tab.evaluate(`(async () => {
      const { createClient } = await import('/client/index.ts');
      const client = createClient({ baseUrl: ${JSON.stringify(`${server.url}/v1`)}, tenant: 'page' });
      const session = await client.sessions.create({ model: 'default', messages: [{ role: 'user', content: '你好' }] });
      session.messages.push({ role: 'user', content: '再见' });
      await session.sync();
      let text = '';
      for await (const { choices } of await session.stream({ max_tokens: 2 })) text += choices[0]?.delta.content ?? '';
      const refused = await client.chat.completions.create({ model: 'default', messages: [] }).catch((error) => [error.status, error.requestId !== undefined]);
      client.track('page');
      await client.close();
      const shut = await createClient({ baseUrl: ${JSON.stringify(`${closed.url}/v1`)}, retriesMax: 0 }).models.list().catch(({ name }) => name);
      return { text, turns: session.messages.length, refused, shut };
    })()`);
      expect(seen).toEqual({ text: '你好', turns: 3, refused: [400, true], shut: 'ConnectionError' });
    } finally {
      await browser.close();
    }
  },
);
