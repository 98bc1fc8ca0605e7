import { constants } from 'node:os';
import type { Config, ConfigOverrides } from '@open-autoglm/gateway';
import { UserError } from '../failure.ts';
import { findEngines, type EngineOptions } from './engines.ts';
import { createEngineReporter } from './engine-reporter.ts';
import { boundHeapGrowth } from './heap-growth.ts';
import { continueOnLargePages } from './large-pages.ts';

export interface ServeOptions extends EngineOptions {
  readonly model?: string;
  readonly quantization?: 'none' | 'int8' | 'int4';
  readonly port?: number;
  readonly host?: string;
  readonly config?: string;
  readonly threads?: number;
  readonly contextLength?: number;
  readonly maxBatchSize?: number;
  readonly maxQueue?: number;
  readonly drainTimeoutMs?: number;
}

/** Serves until a signal or an engine that has failed for good. Rejects with what kept it from serving. */
export async function serve(options: ServeOptions): Promise<void> {
  // At once where that is clear: the servers would be asked for their models twice.
  if (options.engine) continueOnLargePages();
  const { loadConfig, startGateway } = await import('@open-autoglm/gateway');
  const engines = await findEngines(options, process.env);
  const config = loadConfig({
    file: options.config,
    env: process.env,
    overrides: { ...toOverrides(options), ...(engines && { engines }) },
  });
  if (config.engines.some(({ kind }) => kind === 'openai')) continueOnLargePages();
  const end = Promise.withResolvers<void>();
  const reporter = createEngineReporter(process.stderr);
  const gateway = await startGateway({
    config,
    onEngineStatus(status) {
      reporter.report(status);
      if (status.state === 'failed') end.reject(new UserError(status.detail));
    },
    onNotice: (notice) => reporter.notice(notice),
  }).catch((error: unknown) => {
    reporter.close();
    throw explainListenError(error, config.server);
  });
  const unbound = boundHeapGrowth();
  const stopListening = onFirstSignal(end.resolve, config.server.drain_timeout_ms);
  process.stdout.write(`listening on ${gateway.url}\n`);
  // A failure is told by the engine's status.
  gateway.engine?.ready().then(
    ({ source }) => reporter.ready(source),
    () => {},
  );
  try {
    await end.promise;
  } finally {
    reporter.close();
    await gateway.drain();
    stopListening();
    unbound();
  }
}

function toOverrides(options: ServeOptions): ConfigOverrides {
  return {
    server: withoutUndefined({ host: options.host, port: options.port, drain_timeout_ms: options.drainTimeoutMs }),
    model_config: withoutUndefined({
      path: options.model,
      quantization: options.quantization,
      threads: options.threads,
      context_length: options.contextLength,
      max_batch_size: options.maxBatchSize,
      max_queue: options.maxQueue,
    }),
  };
}

/** What is undefined here must not hide what a file says. */
function withoutUndefined<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

/** The first signal begins the drain; a second one ends the process as the signal would. Returns what takes the handlers off. */
function onFirstSignal(begin: () => void, drainTimeoutMs: number): () => void {
  let isDraining = false;
  const handle = (signal: NodeJS.Signals) => {
    if (isDraining) process.exit(128 + constants.signals[signal]);
    isDraining = true;
    process.stderr.write(
      `stopping: running answers have ${drainTimeoutMs / 1000} s to end; a second ${signal === 'SIGINT' ? 'Ctrl-C' : signal} ends at once\n`,
    );
    begin();
  };
  process.on('SIGINT', handle);
  process.on('SIGTERM', handle);
  return () => {
    process.off('SIGINT', handle);
    process.off('SIGTERM', handle);
  };
}

function explainListenError(error: unknown, { host, port }: Config['server']): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'EADDRINUSE')
    return new UserError(
      `Port ${port} on ${host} is in use. Stop what uses it, or choose another: --port ${port + 1}, or --port 0 for any that is free.`,
    );
  if (code === 'EACCES')
    return new UserError(`Listening on port ${port} is not allowed for this user. Choose one above 1023: --port 8080.`);
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
    return new UserError(`${host} is not an address of this computer. Use --host 127.0.0.1, or --host 0.0.0.0 for every one.`);
  return error;
}
