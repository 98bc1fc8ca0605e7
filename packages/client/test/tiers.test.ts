import { createMockEngine, defaultConfig, startGateway, type Config } from '@open-autoglm/gateway';
import { expect, it } from 'vitest';
import { openTiers, type TierEvent, type TiersConversation } from '../src/tiers/index.ts';

const body = (content: string) => ({ model: 'default', messages: [{ role: 'system', content: 'Be brief. '.repeat(50) }, { role: 'user', content }] });

/** A real gateway in front of the mock. */
async function startServer(grpc: Partial<Config['grpc']> = {}, more: { readonly auth?: Config['auth']; readonly env?: Record<string, string> } = {}) {
  const engine = createMockEngine({ tokens: ['o', 'k'] });
  const { env, ...rest } = more;
  const config = { ...defaultConfig, ...rest, server: { ...defaultConfig.server, port: 0, drain_timeout_ms: 1 }, grpc: { ...defaultConfig.grpc, enabled: true, port: 0, ...grpc } };
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
    this.conversation = tiers.converse({ ...options, on: (event) => {
      this.events.push(event);
      this.#wake();
    } });
    this.#close = () => {
      this.conversation.close();
      tiers.close();
    };
  }

  async until<T extends TierEvent['type']>(type: T, is: (event: Extract<TierEvent, { readonly type: T }>) => boolean = () => true): Promise<Extract<TierEvent, { readonly type: T }>> {
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
  expect(await client.decided(1)).toMatchObject({ level: 'answer', text: 'ok', supersedes: 0, engine: 'mock', answer: { object: 'chat.completion', choices: [{ message: { content: 'ok' } }] } });
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
  await using server = await startServer({}, { auth: { keys: [{ name: 'car', key_env: 'CAR_KEY' }] }, env: { CAR_KEY: 'a-long-enough-key-for-a-car' } });
  using stranger = new Listening(server.port);
  expect(await stranger.until('lost')).toMatchObject({ code: 16 });
  expect(() => stranger.conversation.update(body('one'))).toThrow('over');
  using car = new Listening(server.port, { headers: { authorization: 'Bearer a-long-enough-key-for-a-car' } });
  car.conversation.update(body('one'));
  await car.decided(1);
  using unknown = new Listening(server.port, { levels: ['best'], headers: { authorization: 'Bearer a-long-enough-key-for-a-car' } });
  expect(await unknown.until('lost')).toMatchObject({ code: 3, message: 'There is no level "best"; there are answer.' });
});
