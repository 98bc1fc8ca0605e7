import { spawn } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { createClient, type ClientOptions } from '../src/index.ts';
import { RetryBudget } from '../src/retry.ts';
import { Tracker, type TrackedSum } from '../src/tracker.ts';
import { Transport } from '../src/transport.ts';
import { clientOf, seededRandom, startFlakyProxy, startServer, until, type Fate } from './support.ts';

async function countsOf(url: string): Promise<Record<string, number>> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Object.fromEntries(
    [...text.matchAll(/^(autoglm_client_event\w*)\{event="([^"]+)"\} (\S+)$/gm)].map(([, family, event, value]) => [
      `${family === 'autoglm_client_events_total' ? '' : 'sum of '}${event}`,
      Number(value),
    ]),
  );
}

/** A tracker whose page a test may leave. */
function trackerOf(url: string, onRefused: (events: readonly TrackedSum[]) => void = () => {}): Tracker {
  const transport = new Transport({
    baseUrl: `${url}/v1`,
    headers: {},
    encoding: 'json',
    retriesMax: 0,
    budget: new RetryBudget(0, 0),
    fetch,
    random: Math.random,
    now: Date.now,
    wait: async () => {},
  });
  return new Tracker(
    { transport, clientId: crypto.randomUUID(), random: Math.random, timers: { set: () => () => {} } },
    { eventsMax: Infinity, onRefused: (_, events) => onRefused(events) },
  );
}

/** Five hundred names, of 128 letters each: 90 KB of sums. */
const longNames = Array.from({ length: 500 }, (_, index) => `${index}`.padStart(128, 'n'));

/** Fetches that are counted, and do not reach anybody. */
function unanswered(): { readonly options: ClientOptions; readonly bodies: unknown[] } {
  const bodies: unknown[] = [];
  const fetch = (async (_url: string, { body }: { body: string }) => {
    bodies.push(JSON.parse(body));
    throw new TypeError('no network');
  }) as unknown as ClientOptions['fetch'] & {};
  return { bodies, options: { baseUrl: 'http://server/v1', fetch, retriesMax: 0, wait: async () => {} } };
}

describe('track', () => {
  it('adds up and sends once', async () => {
    await using server = await startServer();
    await using proxy = await startFlakyProxy(server.url, () => 'pass');
    const client = clientOf(proxy.url);
    for (let index = 0; index < 500; index += 1) client.track('tap', 2);
    client.track('open');
    expect(proxy.receivedBytes).toBe(0);
    await client.close();
    expect(await countsOf(server.url)).toEqual({ tap: 500, 'sum of tap': 1000, open: 1, 'sum of open': 0 });
    expect(proxy.receivedBytes).toBeLessThan(1000);
  });

  it('sends by itself when there is much, and when a while is over', async () => {
    await using server = await startServer();
    const many = server.client({ events: { eventsMax: 10 } });
    for (let index = 0; index < 10; index += 1) many.track('many');
    await until(async () => (await countsOf(server.url))['many'] === 10);
    server.client({ events: { windowMs: 1 } }).track('waited');
    await until(async () => (await countsOf(server.url))['waited'] === 1);
  });

  it('loses nothing and counts nothing twice over a connection that does both', async () => {
    await using server = await startServer();
    const random = seededRandom(7);
    let cuts = 0;
    const fateOf = (): Fate => {
      const drawn = random();
      if (drawn >= 0.6) return 'pass';
      cuts += 1;
      return drawn < 0.3 ? 'cut-request' : 'cut-answer';
    };
    await using proxy = await startFlakyProxy(server.url, fateOf);
    const client = clientOf(proxy.url, { random, events: { windowMs: 1, eventsMax: 5 } });
    const expected: Record<string, number> = { a: 0, b: 0, c: 0 };
    for (let index = 0; index < 300; index += 1) {
      const name = ['a', 'b', 'c'][Math.floor(random() * 3)] as string;
      client.track(name);
      (expected[name] as number) += 1;
      if (index % 10 === 0) await client.flush().catch(() => {});
    }
    await until(() =>
      client.flush().then(
        () => true,
        () => false,
      ),
    );
    const { a, b, c } = await countsOf(server.url);
    expect({ a, b, c }).toEqual(expected);
    expect(cuts).toBeGreaterThan(10);
  });

  it('sends the same batch until it is answered, and goes on adding up meanwhile', async () => {
    const { bodies, options } = unanswered();
    const client = createClient({ ...options, events: { windowMs: 3_600_000 } });
    client.track('a');
    await expect(client.flush()).rejects.toThrow();
    client.track('b');
    await expect(client.flush()).rejects.toThrow();
    const [first, second] = bodies as { batches: unknown[] }[];
    expect(second).toEqual(first);
    expect(first?.batches).toEqual([{ sequence: 1, events: [{ name: 'a', count: 1, sum: 0 }] }]);
  });

  it('tells of what the server will never take, and goes on', async () => {
    await using server = await startServer(
      {},
      { events: { enabled: false, names_max: 1, clients_max: 1, client_ttl_seconds: 1, redis_timeout_ms: 1 } },
    );
    await using other = await startServer();
    const refused: unknown[] = [];
    const fetches = [server.url, other.url];
    const client = createClient({
      baseUrl: 'http://server/v1',
      events: { onRefused: (_, events) => refused.push(events) },
      fetch: async (url, init) =>
        fetches.length > 1
          ? (fetches.shift(), Response.json({ error: { message: 'no' } }, { status: 413 }))
          : fetch(String(url).replace('http://server', other.url), init),
    });
    client.track('a');
    await client.flush();
    client.track('b');
    await client.close();
    expect(refused).toEqual([[{ name: 'a', count: 1, sum: 0 }]]);
    expect(await countsOf(other.url)).toEqual({ b: 1, 'sum of b': 0 });
  });

  it('loses nothing of much more than a request may hold', async () => {
    await using server = await startServer(
      {},
      { events: { enabled: true, names_max: 1000, clients_max: 10, client_ttl_seconds: 60, redis_timeout_ms: 50 } },
    );
    let isAway = true;
    const sizes: number[] = [];
    await using proxy = await startFlakyProxy(server.url, () => (isAway ? 'cut-request' : 'pass'));
    const tracker = trackerOf(proxy.url, () => sizes.push(-1));
    // The page is hidden and shown 15 times without a connection: a megabyte and a half.
    for (let round = 0; round < 15; round += 1) {
      for (const name of longNames) tracker.track(name);
      tracker.leave();
    }
    await expect(tracker.flush()).rejects.toThrow();
    isAway = false;
    await tracker.flush();
    const counts = await countsOf(server.url);
    // Of a page that was hidden so often without a connection, later sums join one batch.
    expect(longNames.filter((name) => counts[name] !== 15)).toEqual([]);
    expect(sizes).toEqual([]);
  });

  it('gives up the one batch that is refused, not those beside it', async () => {
    await using server = await startServer();
    const refused: TrackedSum[] = [];
    const bodies: number[] = [];
    const transport = new Transport({
      baseUrl: 'http://server/v1',
      headers: {},
      encoding: 'json',
      retriesMax: 0,
      budget: new RetryBudget(0, 0),
      random: Math.random,
      now: Date.now,
      wait: async () => {},
      fetch: async (url, init) => {
        const { batches } = JSON.parse(init?.body as string) as { batches: { events: TrackedSum[] }[] };
        bodies.push(batches.length);
        if (batches.some(({ events }) => events.some(({ name }) => name === 'bad')))
          return Response.json({ error: { message: 'no' } }, { status: 400 });
        return fetch(String(url).replace('http://server', server.url), init);
      },
    });
    const tracker = new Tracker(
      { transport, clientId: crypto.randomUUID(), random: Math.random, timers: { set: () => () => {} } },
      { onRefused: (_, events) => refused.push(...events) },
    );
    for (const name of ['a', 'b', 'bad', 'c']) {
      tracker.track(name);
      tracker.leave();
    }
    await tracker.flush();
    expect(refused).toEqual([{ name: 'bad', count: 1, sum: 0 }]);
    expect(await countsOf(server.url)).toMatchObject({ a: 1, b: 1, c: 1 });
  });

  it('takes no name and no value that no server would', () => {
    const client = createClient(unanswered().options);
    expect(() => client.track('a b')).toThrow(TypeError);
    expect(() => client.track('a', -1)).toThrow(TypeError);
    expect(() => client.track('a', Number.NaN)).toThrow(TypeError);
  });

  it('sends what is left when a process has nothing else to do', async () => {
    await using server = await startServer();
    const program = `import { createClient } from ${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)};
      const client = createClient({ baseUrl: ${JSON.stringify(`${server.url}/v1`)} });
      for (let index = 0; index < 42; index += 1) client.track('exit');`;
    const child = spawn(process.execPath, ['--input-type=module', '--no-warnings', '-e', program], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    expect(await new Promise((resolve) => child.once('exit', resolve))).toBe(0);
    expect((await countsOf(server.url))['exit']).toBe(42);
  });
});
