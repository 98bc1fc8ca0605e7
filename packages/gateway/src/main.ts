import type { AddressInfo } from 'node:net';
import type { Engine } from '@open-autoglm/protocol';
import { createCatalog } from './common/model-catalog.ts';
import type { Config } from './config/schema.ts';
import { embeddedEngine } from './engines/embedded/index.ts';
import { createIngress } from './ingress/server.ts';
import { follow } from './observability/follow.ts';
import type { Observer } from './observability/observer.ts';
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
  const observers: readonly Observer[] = [];
  const catalog = createCatalog(engine, config.server.ready_timeout_ms);
  const ingress = createIngress({
    catalog,
    engine,
    maxRunning: config.model_config.max_batch_size + config.model_config.max_queue,
    bodyLimitBytes: config.server.body_limit_bytes,
    path: createRequestPath(catalog),
    follow: (start) => follow(observers, start),
    respond,
    respondError,
  });
  const address = await listen(ingress.server, config.server).catch(async (error: unknown) => {
    await engine.close();
    throw error;
  });
  let drained: Promise<void> | undefined;
  return {
    url: urlOf(address),
    port: address.port,
    engine,
    drain: () => (drained ??= drain(ingress, engine, config.server.drain_timeout_ms)),
  };
}

async function drain(ingress: ReturnType<typeof createIngress>, engine: Engine, timeoutMs: number): Promise<void> {
  await ingress.drain(timeoutMs);
  await engine.close();
}

function listen(server: ReturnType<typeof createIngress>['server'], { host, port }: Config['server']): Promise<AddressInfo> {
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
