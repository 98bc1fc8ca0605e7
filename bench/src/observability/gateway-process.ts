/** A child process with a gateway in front of an engine that answers at once, observed as the first message says. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createMockEngine, defaultConfig, startGateway, type Config } from '@open-autoglm/gateway';
import { Access, admissionOptions, createAdmission, createBodyReading, createCatalog, createClassificationCatalog, createClassificationPath, createInputSteps, createEmbeddingCatalog, createEmbeddingPath, createIngress, createRequestPath, promptReplica, respond, respondClassifications, respondEmbeddings, respondError, routerOptions, shortenOptions } from '@open-autoglm/gateway/parts';
import type { GatewayAnswer, GatewayQuestion, Watching } from './gateway.ts';

/** Fixed answers: nothing but the gateway costs time. */
const answerTokens = 16;
const connectionsMax = 1024;

process.on('disconnect', () => process.exit(0));
process.on('message', async (question: GatewayQuestion) => {
  if (question.type === 'start') return answer({ url: await start(question.watching, question.collector) });
  const { user, system } = process.cpuUsage();
  answer({ cpuMs: (user + system) / 1000 });
});

function answer(said: GatewayAnswer): void {
  process.send?.(said);
}

async function start(watching: Watching, collector: string): Promise<string> {
  const engine = createMockEngine({ tokens: Array.from({ length: answerTokens }, (_, index) => ` word${index}`) });
  if (watching === 'nothing') return startBare(engine);
  const isOn = watching === 'everything';
  const { traces } = defaultConfig.observability;
  const config: Config = {
    ...defaultConfig,
    server: { ...defaultConfig.server, port: 0 },
    model_config: { ...defaultConfig.model_config, max_queue: connectionsMax },
    observability: { ...defaultConfig.observability, metrics: { enabled: isOn }, diagnosis: { enabled: isOn }, traces: { ...traces, enabled: isOn, endpoint: collector, sample_ratio: 0.01 } },
  };
  return (await startGateway({ config, engine })).url;
}

/** The same path with nobody who listens: not even the split of a request's time is kept, which no configuration can switch off. */
async function startBare(engine: ReturnType<typeof createMockEngine>): Promise<string> {
  const target = { replica: promptReplica(engine), tier: 'edge', weight: 1, maxOutstanding: connectionsMax };
  const catalog = createCatalog([{ name: 'default', targets: [target] }], 1000);
  const embeddings = createEmbeddingCatalog(undefined, []);
  const embeddingPath = createEmbeddingPath(embeddings, 1000, routerOptions(defaultConfig.router));
  const classifiers = createClassificationCatalog([]);
  const unobserved = { emit: () => {}, timings: { engine: 'mock', tier: 'edge', cache: undefined, notes: undefined, tokensUsed: undefined, promptTokens: 0, completionTokens: 0, header: () => '', fields: () => ({}), told: () => ({}) }, traceContext: () => undefined };
  const { server } = createIngress({
    catalog, access: new Access(undefined, undefined), respond, respondError, embeddings, respondEmbeddings, classifiers, respondClassifications,
    embeddingPath,
    classificationPath: createClassificationPath(classifiers, embeddings, embeddingPath, routerOptions(defaultConfig.router)),
    maxRunning: connectionsMax,
    bodies: createBodyReading(createInputSteps(defaultConfig.input), defaultConfig.server.body_limit_bytes),
    path: createRequestPath(catalog, createAdmission(catalog, admissionOptions(defaultConfig.admission)), routerOptions(defaultConfig.router), shortenOptions(defaultConfig, { read: () => undefined }, embeddings, embeddingPath)),
    metrics: undefined,
    follow: () => unobserved,
  });
  server.listen({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
