/** A child process with a gateway whose logs and traces go where the first message says. */
import { setTimeout as sleep } from 'node:timers/promises';
import { createMockEngine, defaultConfig, startGateway, type Config } from '@open-autoglm/gateway';
import type { GatewayAnswer, GatewayQuestion, SinkTargets } from './gateway.ts';

process.on('disconnect', () => process.exit(0));
process.on('message', async (question: GatewayQuestion) => {
  if (question.type === 'start') return answer({ url: await start(question.targets) });
  // What waits for finalizers needs some turns of the loop.
  for (let round = 0; round < 5; round += 1) {
    globalThis.gc?.();
    await sleep(20);
  }
  const { heapUsed, external } = process.memoryUsage();
  answer({ heapBytes: heapUsed + external });
});

function answer(said: GatewayAnswer): void {
  process.send?.(said);
}

async function start({ log, collector }: SinkTargets): Promise<string> {
  const engine = createMockEngine({ tokens: Array.from({ length: 16 }, (_, index) => ` word${index}`) });
  const { logs, traces, ...observability } = defaultConfig.observability;
  const config: Config = {
    ...defaultConfig,
    server: { ...defaultConfig.server, port: 0 },
    observability: {
      ...observability,
      logs: { ...logs, enabled: true, destination: log },
      traces: { ...traces, enabled: true, endpoint: collector, sample_ratio: 1 },
    },
  };
  return (await startGateway({ config, engine })).url;
}
