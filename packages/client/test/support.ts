import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import {
  createMockEmbeddings,
  createMockEngine,
  defaultConfig,
  startGateway,
  type Config,
  type Gateway,
  type MockEngine,
  type MockScript,
} from '@open-autoglm/gateway';
import { createClient, type Client, type ClientOptions } from '../src/index.ts';

export interface TestServer extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly engine: MockEngine;
  readonly url: string;
  /** Of this server, retrying without waiting. */
  client(options?: ClientOptions): Client;
}

/** A real gateway on a free port, in front of the mocks. */
export async function startServer(
  script: MockScript = {},
  config: Partial<Config> = {},
  server: Partial<Config['server']> = {},
): Promise<TestServer> {
  const engine = createMockEngine(script);
  const gateway = await startGateway({
    config: { ...defaultConfig, ...config, server: { ...defaultConfig.server, port: 0, drain_timeout_ms: 200, ...server } },
    engine,
    embeddings: createMockEmbeddings(),
  });
  return {
    gateway,
    engine,
    url: gateway.url,
    client: (options) => clientOf(gateway.url, options),
    [Symbol.asyncDispose]: () => gateway.drain(),
  };
}

export function clientOf(url: string, options: ClientOptions = {}): Client {
  return createClient({ baseUrl: `${url}/v1`, wait: async () => {}, ...options });
}

/** What becomes of a connection: it is passed on; cut at once; or cut when the answer begins, which the server has made by then. */
export type Fate = 'pass' | 'cut-request' | 'cut-answer';

export interface FlakyProxy extends AsyncDisposable {
  readonly url: string;
  /** Bytes that came from clients. */
  readonly receivedBytes: number;
}

/** A network between client and server: each connection, which is one request long, is asked for its fate. */
export async function startFlakyProxy(target: string, fate: () => Fate): Promise<FlakyProxy> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let receivedBytes = 0;
  const server = createServer((client) => {
    const own = fate();
    const upstream = connect(Number(port), hostname);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => sockets.delete(socket));
    }
    const cut = () => {
      client.resetAndDestroy();
      upstream.destroy();
    };
    client.once('close', () => upstream.end());
    client.on('data', (bytes) => {
      receivedBytes += bytes.length;
      if (own === 'cut-request') cut();
      // One request a connection, so that each has a fate of its own.
      else upstream.write(bytes.toString('latin1').replace(/connection: keep-alive/i, 'connection: close'), 'latin1');
    });
    upstream.on('data', (bytes) => (own === 'cut-answer' ? cut() : client.write(bytes)));
    upstream.once('end', () => client.end());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get receivedBytes() {
      return receivedBytes;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Mulberry32: the same fates each time. */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Waits until the condition holds; the test's own timeout bounds it. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 1));
}
