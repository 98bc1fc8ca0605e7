/** A child process with two gateways, observed and not, in front of a server, or of an engine that answers at once. */
import { createMockEngine, loadConfig, startGateway, type Config } from '@open-autoglm/gateway';
import type { GatewayAnswer, GatewayQuestion, Origin } from './gateways.ts';

/** Fixed answers: nothing but the gateway costs time. */
const answerTokens = 16;
const connectionsMax = 1024;

process.on('disconnect', () => process.exit(0));
process.on('message', async (question: GatewayQuestion) => {
  if (question.type === 'start') return answer({ urls: [await start(question.origin, true), await start(question.origin, false)] });
  const { user, system } = process.cpuUsage();
  answer({ cpuMs: (user + system) / 1000 });
});

function answer(said: GatewayAnswer): void {
  process.send?.(said);
}

async function start({ collector, backend }: Origin, enabled: boolean): Promise<string> {
  const engines = backend === undefined ? undefined : [{ kind: 'openai', url: `${backend}/v1`, model: 'bench' }];
  const loaded = loadConfig({
    env: {},
    overrides: { server: { port: 0 }, ...(engines ? { engines } : { model_config: { max_queue: connectionsMax } }) },
  });
  const { traces, ...observability } = loaded.observability;
  const config: Config = {
    ...loaded,
    observability: {
      ...observability,
      metrics: { enabled },
      diagnosis: { enabled },
      traces: { ...traces, enabled, endpoint: collector, sample_ratio: 0.01 },
    },
  };
  if (backend !== undefined) return (await startGateway({ config })).url;
  const engine = createMockEngine({ tokens: Array.from({ length: answerTokens }, (_, index) => ` word${index}`) });
  return (await startGateway({ config, engine })).url;
}
