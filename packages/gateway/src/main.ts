import type { AddressInfo } from 'node:net';
import type { Engine } from '@open-autoglm/protocol';
import { createCatalog, type CatalogModel } from './common/model-catalog.ts';
import type { Config } from './config/schema.ts';
import { embeddedEngine } from './engines/embedded/index.ts';
import { promptReplica } from './engines/prompt-replica.ts';
import { createIngress, type Ingress } from './ingress/server.ts';
import { createObservability, type Observability } from './observability/observability.ts';
import { openSinks, type Sinks } from './observability/sinks/sinks.ts';
import { respond, respondError } from './output/respond.ts';
import { createRequestPath } from './request-path.ts';

export { ConfigError, loadConfig, type ConfigOverrides, type LoadConfigOptions } from './config/load.ts';
export { defaultConfig, type Config } from './config/schema.ts';
export { createMockEngine, type MockEngine, type MockScript } from './engines/mock/mock-engine.ts';

/** An engine's state as it changes; `progress` is 0 … 1 while a model is being prepared. */
export interface EngineStatusReport {
  readonly state: string;
  readonly detail: string;
  readonly progress?: number;
}

export interface GatewayOptions {
  readonly config: Config;
  /** Another engine than the embedded one; the gateway closes it in the end. */
  readonly engine?: Engine;
  readonly onEngineStatus?: (status: EngineStatusReport) => void;
}

export interface Gateway {
  readonly url: string;
  readonly port: number;
  readonly engine: Engine;
  /** Refuses new requests, lets the running ones end within `drain_timeout_ms`, then closes everything. Idempotent. */
  drain(): Promise<void>;
}

/** Config → parts → listen. Accepts requests at once; they wait for the model. Rejects when it cannot listen. */
export async function startGateway({ config, engine: given, onEngineStatus }: GatewayOptions): Promise<Gateway> {
  const engine = given ?? embeddedEngine(config.model_config, onEngineStatus);
  const maxRunning = config.model_config.max_batch_size + config.model_config.max_queue;
  const models: readonly CatalogModel[] = [{ name: 'default', targets: [{ replica: promptReplica(engine), tier: 'edge', weight: 1, maxOutstanding: maxRunning }] }];
  const catalog = createCatalog(models, config.server.ready_timeout_ms);
  const isModel = (name: string) => catalog.has(name);
  const sinks = await openSinks(config.observability, { isModel }).catch(async (error: unknown) => {
    await engine.close();
    throw error;
  });
  const observability = createObservability(config.observability, {
    sinks,
    isModel,
    engines: () => catalog.readiness().replicas,
  });
  const ingress = createIngress({
    catalog,
    maxRunning,
    bodyLimitBytes: config.server.body_limit_bytes,
    path: sinks.capture(createRequestPath(catalog, { balance: 'round_robin', triesMax: 3, now: () => performance.now() })),
    metrics: observability.metrics,
    follow: observability.follow,
    respond,
    respondError,
  });
  const address = await listen(ingress.server, config.server).catch(async (error: unknown) => {
    observability.close();
    await engine.close();
    await sinks.close();
    throw error;
  });
  let drained: Promise<void> | undefined;
  return {
    url: urlOf(address),
    port: address.port,
    engine,
    drain: () => (drained ??= drain(ingress, config.server.drain_timeout_ms, engine, observability, sinks)),
  };
}

async function drain(ingress: Ingress, timeoutMs: number, engine: Engine, observability: Observability, sinks: Sinks): Promise<void> {
  await ingress.drain(timeoutMs);
  observability.close();
  await engine.close();
  await sinks.close();
}

function listen(server: Ingress['server'], { host, port }: Config['server']): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      resolve(server.address() as AddressInfo);
    });
  });
}

function urlOf({ address, family, port }: AddressInfo): string {
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}
