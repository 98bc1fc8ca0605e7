import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { createMockEngine, defaultConfig, startGateway, type Config } from '@open-autoglm/gateway';
import type { TierClientMessage, TierServerMessage } from '@open-autoglm/protocol';
import { expect, it } from 'vitest';
import { loadService, openTiers, type TierEvent, type TiersConversation } from '../src/tiers/index.ts';

const body = (content: string) => ({
  model: 'default',
  messages: [
    { role: 'system', content: 'Be brief. '.repeat(50) },
    { role: 'user', content },
  ],
});

/** A real gateway in front of the mock. */
async function startServer(
  grpc: Partial<Config['grpc']> = {},
  more: { readonly auth?: Config['auth']; readonly env?: Record<string, string> } = {},
) {
  const engine = createMockEngine({ tokens: ['o', 'k'] });
  const { env, ...rest } = more;
  const config = {
    ...defaultConfig,
    ...rest,
    server: { ...defaultConfig.server, port: 0, drain_timeout_ms: 1 },
    grpc: { ...defaultConfig.grpc, enabled: true, port: 0, ...grpc },
  };
  const gateway = await startGateway({ config, engine, ...(env && { env }) });
  return { engine, port: gateway.grpcPort as number, [Symbol.asyncDispose]: () => gateway.drain() };
}

/** A conversation whose events can be waited for. */
class Listening implements Disposable {
  readonly events: TierEvent[] = [];
  readonly conversation: TiersConversation;
  readonly #close: () => void;
  #wake = () => {};

  constructor(port: number, options: { readonly levels?: readonly string[]; readonly headers?: Record<string, string> } = {}) {
    const tiers = openTiers({ target: `127.0.0.1:${port}` });
    this.conversation = tiers.converse({
      ...options,
      on: (event) => {
        this.events.push(event);
        this.#wake();
      },
    });
    this.#close = () => {
      this.conversation.close();
      tiers.close();
    };
  }

  async until<T extends TierEvent['type']>(
    type: T,
    is: (event: Extract<TierEvent, { readonly type: T }>) => boolean = () => true,
  ): Promise<Extract<TierEvent, { readonly type: T }>> {
    for (;;) {
      const found = this.events.find((event) => event.type === type && is(event as Extract<TierEvent, { readonly type: T }>));
      if (found) return found as Extract<TierEvent, { readonly type: T }>;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  decided = (state: number) => this.until('decision', (event) => event.state === state);

  [Symbol.dispose](): void {
    this.#close();
  }
}

it('streams a state as it changes, and tells what is decided about it, part by part and whole', async () => {
  await using server = await startServer();
  using client = new Listening(server.port);
  expect(client.conversation.update(body('one'))).toBe(1);
  expect(await client.decided(1)).toMatchObject({
    level: 'answer',
    text: 'ok',
    supersedes: 0,
    engine: 'mock',
    answer: { object: 'chat.completion', choices: [{ message: { content: 'ok' } }] },
  });
  expect(client.events.flatMap((event) => (event.type === 'delta' ? [event.text] : []))).toEqual(['o', 'k']);
  expect(client.events[0]).toMatchObject({ type: 'welcome', levels: [{ name: 'answer' }] });
  expect(client.conversation.update(body('two'))).toBe(2);
  expect(await client.decided(2)).toMatchObject({ supersedes: 1 });
  expect(JSON.stringify(server.engine.requests.at(-1)?.prompt)).toContain('two');
});

it('goes on after a state that was refused, with the whole of the next one', async () => {
  await using server = await startServer({ state_bytes_max: 2048 });
  using client = new Listening(server.port);
  client.conversation.update(body('one'));
  await client.decided(1);
  client.conversation.update(body('x'.repeat(3000)));
  expect(await client.until('problem')).toMatchObject({ state: 2, level: '', code: 'payload_too_large' });
  client.conversation.update(body('three'));
  expect(await client.decided(3)).toMatchObject({ text: 'ok' });
});

it('sends no state that is larger than the server takes, and says so', async () => {
  await using server = await startServer({ state_bytes_max: 2048 });
  using client = new Listening(server.port);
  client.conversation.update(body('x'.repeat(20_000)));
  expect(await client.until('problem')).toMatchObject({ state: 1, level: '', code: 'payload_too_large', retryable: false });
  client.conversation.update(body('two'));
  expect(await client.decided(2)).toMatchObject({ text: 'ok' });
  client.conversation.update(body('y'.repeat(20_000)));
  await client.until('problem', ({ state }) => state === 3);
  client.conversation.update(body('four'));
  await client.decided(4);
  expect(client.events.filter(({ type }) => type === 'lost')).toEqual([]);
});

/** A server that says what no gateway of ours would, or says it when the test wants it. */
async function startScripted(
  onState: (state: NonNullable<TierClientMessage['state']>, tell: (message: TierServerMessage) => void) => void,
) {
  const server = new Server();
  server.addService(loadService(), {
    Converse: (call: ServerDuplexStream<TierClientMessage, TierServerMessage>) => {
      const tell = (message: TierServerMessage) => void call.write(message);
      call.on('data', ({ hello, state }: TierClientMessage) =>
        hello ? tell({ welcome: { levels: [{ name: 'answer', model: '' }], stateBytesMax: 1_000_000 } }) : state && onState(state, tell),
      );
      call.on('error', () => {});
    },
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound))),
  );
  return { port, [Symbol.dispose]: () => server.forceShutdown() };
}

const final = (stateVersion: number, answer: string): TierServerMessage => ({
  decision: { revision: stateVersion, stateVersion, level: 'answer', final: true, text: 'ok', answer: Buffer.from(answer) },
});

it('takes an answer that is not JSON for a problem of its state', async () => {
  using server = await startScripted(({ version }, tell) => tell(final(version, version === 1 ? '{"cut' : '{}')));
  using client = new Listening(server.port);
  client.conversation.update(body('one'));
  expect(await client.until('problem')).toMatchObject({ state: 1, level: 'answer', code: 'upstream_error' });
  client.conversation.update(body('two'));
  expect(await client.decided(2)).toMatchObject({ answer: {} });
});

it('ends the conversation of who listens and fails, and tells that', async () => {
  using server = await startScripted(({ version }, tell) => tell(final(version, '{}')));
  const tiers = openTiers({ target: `127.0.0.1:${server.port}` });
  const lost = Promise.withResolvers<TierEvent>();
  const conversation = tiers.converse({
    on: (event) => {
      if (event.type === 'lost') lost.resolve(event);
      throw new Error('no ears');
    },
  });
  conversation.update(body('one'));
  expect(await lost.promise).toMatchObject({ code: 13, message: 'The listener failed: Error: no ears' });
  expect(() => conversation.update(body('two'))).toThrow('over');
  tiers.close();
});

it('sends the whole once, however many patches under way the server could not take', async () => {
  const documents: number[] = [];
  using server = await startScripted(({ version, document }, tell) => {
    if (document) documents.push(version);
    // The second state was lost to it, and all patches up to the fourth are on that.
    if (version === 4)
      for (let patches = 0; patches < 3; patches += 1) tell({ resend: { haveVersion: 1, reason: 'the patch is on another version' } });
    if (version > 4) tell(final(version, '{}'));
  });
  using client = new Listening(server.port);
  for (const content of ['one', 'two', 'three', 'four']) client.conversation.update(body(content));
  await client.decided(4);
  client.conversation.update(body('five'));
  await client.decided(5);
  expect(documents).toEqual([1, 5]);
});

it('opens a call that was cut again, and has the last state decided about', async () => {
  const first = await startServer();
  const { port } = first;
  using client = new Listening(port);
  client.conversation.update(body('one'));
  await client.decided(1);
  await first[Symbol.asyncDispose]();
  await client.until('lost');
  client.conversation.update(body('two'));
  await using _second = await startServer({ port });
  expect(await client.decided(2)).toMatchObject({ text: 'ok', supersedes: 0 });
});

it('gives up where the server will not have it', async () => {
  await using server = await startServer(
    {},
    { auth: { keys: [{ name: 'car', key_env: 'CAR_KEY' }] }, env: { CAR_KEY: 'a-long-enough-key-for-a-car' } },
  );
  using stranger = new Listening(server.port);
  expect(await stranger.until('lost')).toMatchObject({ code: 16 });
  expect(() => stranger.conversation.update(body('one'))).toThrow('over');
  using car = new Listening(server.port, { headers: { authorization: 'Bearer a-long-enough-key-for-a-car' } });
  car.conversation.update(body('one'));
  await car.decided(1);
  using unknown = new Listening(server.port, { levels: ['best'], headers: { authorization: 'Bearer a-long-enough-key-for-a-car' } });
  expect(await unknown.until('lost')).toMatchObject({ code: 3, message: 'There is no level "best"; there are answer.' });
});
