import { createMockEngine, loadConfig, startGateway } from '../../../src/main.ts';

/**
 * A gateway in a network namespace, whose edge runs here and whose cloud is elsewhere. Asked over the channel, for nothing else reaches it.
 */
const config = loadConfig({ file: process.argv[2], env: {} });
const gateway = await startGateway({ config, engine: createMockEngine() });
process.on('message', async (path: string) => {
  const started = performance.now();
  const response = await fetch(
    `${gateway.url}${path}`,
    path.startsWith('/v1/chat')
      ? {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ model: 'auto', messages: [{ role: 'user', content: 'Hi' }] }),
        }
      : {},
  );
  const body = (await response.json()) as unknown;
  process.send?.({ status: response.status, tier: response.headers.get('x-autoglm-tier'), ms: performance.now() - started, body });
});
process.send?.('ready');
process.once('disconnect', () => process.exit());
