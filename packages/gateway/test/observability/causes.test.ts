import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { stopClock, type StoppedClock } from '../stopped-clock.ts';
import { chatBody, createGate, portOf, startTestServer, until, type TestServer } from '../support.ts';
import { scrape } from './scrape.ts';

/** Long enough to be the slowest thing of a request that the mock answers at once; nothing waits for it to be over. */
const delayMs = 80;

/** The one bottleneck that the server has named so far. */
async function named(server: TestServer): Promise<object> {
  let found: object[] = [];
  await until(async () => {
    found = (await scrape(server.url)).samples
      .filter(({ name }) => name === 'autoglm_bottleneck_requests_total')
      .map(({ labels }) => labels);
    return found.length > 0;
  });
  expect(found).toHaveLength(1);
  return found[0] as object;
}

/** Little by little: no tick of the loop's watch may look late. */
async function passIdly(clock: StoppedClock): Promise<void> {
  const [ticks, tickMs] = [8, 20];
  for (let tick = 0; tick < ticks; tick += 1) {
    clock.pass(delayMs / ticks);
    await sleep(tickMs);
  }
}

async function openSocket(server: TestServer): Promise<Socket> {
  const socket = connect(portOf(server.url), '127.0.0.1');
  await once(socket, 'connect');
  return socket;
}

function head(body: string): string {
  return `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`;
}

describe('the cause of a slow request', () => {
  let server: TestServer;
  // The first request of a process is slow by all that it does for the first time.
  beforeAll(async () => {
    await using first = await startTestServer();
    await (await first.post('/v1/chat/completions', chatBody)).text();
  });
  afterEach(() => server[Symbol.asyncDispose]());

  it('is a busy processor when something blocks the event loop', async () => {
    using clock = stopClock();
    server = await startTestServer({ beforeToken: (index) => (index === 1 ? clock.pass(delayMs) : undefined) });
    await (await server.post('/v1/chat/completions', chatBody)).text();
    expect(await named(server)).toEqual({ segment: 'other', cause: 'cpu', detail: 'event-loop' });
  });

  it('is the garbage collector when it stops the world', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const heap = Array.from({ length: 1_500_000 }, (_, index) => ({ index }));
    server = await startTestServer({
      beforeToken: (index) => {
        if (index !== 1) return;
        const until = performance.now() + 3 * delayMs;
        while (performance.now() < until) collect();
      },
    });
    await (await server.post('/v1/chat/completions', chatBody)).text();
    expect(heap).toHaveLength(1_500_000);
    expect(await named(server)).toEqual({ segment: 'other', cause: 'gc', detail: 'gc-pause' });
  });

  it('is the chat template where that computes for long', async () => {
    const chatTemplate = '{% for a in range(40) %}{% for b in range(4000) %}{% endfor %}{% endfor %}{{ messages[0].content }}';
    server = await startTestServer({ model: { chatTemplate } });
    await (await server.post('/v1/chat/completions', chatBody)).text();
    expect(await named(server)).toEqual({ segment: 'input', cause: 'cpu', detail: 'template' });
  });

  it('is a lock when the model is still loading', async () => {
    using clock = stopClock();
    const gate = createGate();
    server = await startTestServer({ loaded: gate.passed });
    const answer = server.post('/v1/chat/completions', chatBody);
    await until(async () => (await scrape(server.url)).value('autoglm_active_requests') === 1);
    await passIdly(clock);
    gate.open();
    await (await answer).text();
    expect(await named(server)).toEqual({ segment: 'input', cause: 'lock', detail: 'model-loading' });
  });

  it('is I/O when the client sends its request slowly', async () => {
    using clock = stopClock();
    server = await startTestServer();
    const body = JSON.stringify(chatBody);
    const socket = await openSocket(server);
    socket.write(head(body) + body.slice(0, 10));
    await until(async () => (await scrape(server.url)).value('autoglm_active_requests') === 1);
    await passIdly(clock);
    socket.write(body.slice(10));
    await once(socket, 'data');
    socket.destroy();
    expect(await named(server)).toEqual({ segment: 'input', cause: 'io', detail: 'slow-upload' });
  });

  it.each([true, false])('is I/O when the client reads its answer slowly, a stream or not: %s', async (stream) => {
    using clock = stopClock();
    const token = 'x'.repeat(128 * 1024);
    let generated = 0;
    server = await startTestServer({ tokens: Array.from({ length: 64 }, () => token), beforeToken: (index) => void (generated = index) });
    const body = JSON.stringify({ ...chatBody, stream });
    const socket = await openSocket(server);
    socket.pause();
    socket.write(head(body) + body);
    // Until the system's buffers are full, and the stream stands still.
    let before = -1;
    await until(async () => {
      await sleep(20);
      const stands = generated > 0 && generated === before;
      before = generated;
      return stands;
    });
    await passIdly(clock);
    socket.resume();
    socket.setEncoding('latin1');
    let tail = '';
    socket.on('data', (text: string) => (tail = (tail + text).slice(-200)));
    await until(() => (stream ? tail.includes('[DONE]') : tail.includes('"total_ms"')));
    socket.destroy();
    expect(await named(server)).toEqual({ segment: 'output', cause: 'io', detail: 'slow-client' });
  });
});
