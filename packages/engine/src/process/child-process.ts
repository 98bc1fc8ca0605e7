import { flushCompileCache } from 'node:module';

const leaving = new AbortController();
let preparing: Promise<unknown> | undefined;

/**
 * Makes the model ready to be loaded. When the gateway goes meanwhile, the signal says so, and the process ends only after what was begun
 * has cleaned up.
 */
export function prepareUnlessLeft<T>(prepare: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const prepared = prepare(leaving.signal);
  preparing = prepared;
  return prepared;
}

/** What a process of the engine does with signals, with the end of its gateway, and before its own. */
export function behaveAsChild(): void {
  // The gateway decides when it ends: a Ctrl-C in the terminal must let it drain first. Without a gateway there is no use.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => {});
  process.on('disconnect', () => {
    leaving.abort(new Error('the gateway has gone'));
    void Promise.allSettled([preparing]).then(() => process.exit(0));
  });
  // What the gateway tells of the end is the last line; Node's own would be its version.
  process.on('uncaughtException', (error) => {
    process.stderr.write(`${error.stack}\n${error.message}\n`);
    process.exit(1);
  });
}

/** Leaves what was compiled for the next start: this process is killed in the end, and would write nothing by itself. */
export function keepCompiled(): void {
  flushCompileCache();
}
