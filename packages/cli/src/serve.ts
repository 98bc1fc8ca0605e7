import { loadConfig, startGateway, type ConfigOverrides, type EngineStatusReport, type Gateway } from '@open-autoglm/gateway';

export interface ServeOptions {
  readonly config?: string;
  readonly port?: number;
  readonly host?: string;
  readonly model?: string;
  readonly threads?: number;
  readonly contextLength?: number;
  readonly maxBatchSize?: number;
}

/** Serves until a signal, then drains. Throws when it cannot listen or the configuration is wrong. */
export async function serve(options: ServeOptions): Promise<void> {
  const startedAt = performance.now();
  const config = loadConfig({ file: options.config, env: process.env, overrides: overridesOf(options) });
  const gateway = await startGateway({ config, onEngineStatus: createReporter(startedAt) }).catch((error: NodeJS.ErrnoException) => {
    throw explainListen(error, config.server);
  });
  process.stdout.write(`listening on ${gateway.url}\n`);
  drainOnSignal(gateway);
}

/** The options that were given, under their keys of the configuration file. */
export function overridesOf({ port, host, model, threads, contextLength, maxBatchSize }: ServeOptions): ConfigOverrides {
  return {
    server: { ...(port !== undefined && { port }), ...(host !== undefined && { host }) },
    model_config: {
      ...(model !== undefined && { path: model }),
      ...(threads !== undefined && { threads }),
      ...(contextLength !== undefined && { context_length: contextLength }),
      ...(maxBatchSize !== undefined && { max_batch_size: maxBatchSize }),
    },
  };
}

/** Says on stderr how far the model is: a line that grows on a terminal, a line per tenth elsewhere. */
function createReporter(startedAt: number): (status: EngineStatusReport) => void {
  let lastTenth = -1;
  let isLineOpen = false;
  const endLine = () => {
    if (isLineOpen) process.stderr.write('\n');
    isLineOpen = false;
  };
  return ({ state, detail, progress }) => {
    if (state === 'closed') return;
    if (progress !== undefined) {
      const tenth = Math.floor(progress * 10);
      if (process.stderr.isTTY) {
        process.stderr.write(`\r${bar(progress)} ${detail}`);
        isLineOpen = true;
      } else if (tenth > lastTenth) {
        process.stderr.write(`${detail}\n`);
      }
      lastTenth = tenth;
      return;
    }
    endLine();
    process.stderr.write(state === 'ready' ? `ready: ${detail} (${Math.round(performance.now() - startedAt)} ms)\n` : `${state}: ${detail}\n`);
  };
}

function bar(fraction: number): string {
  const width = 24;
  const filled = Math.round(fraction * width);
  return `[${'█'.repeat(filled)}${' '.repeat(width - filled)}]`;
}

/** The first signal lets running answers end; the second does not wait. */
function drainOnSignal(gateway: Gateway): void {
  let signals = 0;
  const onSignal = () => {
    signals += 1;
    if (signals > 1) process.exit(1);
    process.stderr.write('draining: running answers may end; press Ctrl-C again to stop at once\n');
    void gateway.drain().then(() => process.exit(0));
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
}

function explainListen(error: NodeJS.ErrnoException, { host, port }: { readonly host: string; readonly port: number }): Error {
  if (error.code === 'EADDRINUSE') return new Error(`${host}:${port} is taken by another program: choose another with --port or PORT.`);
  if (error.code === 'EACCES') return new Error(`${host}:${port} may not be used by this user: choose a port above 1023.`);
  if (error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND') return new Error(`${host} is not an address of this machine: choose another with --host or HOST.`);
  return error;
}
