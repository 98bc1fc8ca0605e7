import { isatty } from 'node:tty';
import { pino } from 'pino';
import { ConfigError } from '../../common/config-error.ts';
import type { RequestProfile } from '../profile/request-profile.ts';
import type { DropCounter } from '../sinks/drop-counter.ts';
import { accessLine } from './access-line.ts';
import { describeError } from './describe-error.ts';
import { openLog, type Target } from './destination.ts';
import { watchEngines, type EngineChange, type WatchedEngine } from './engine-watch.ts';
import { LogPipe, type LogPipeOptions } from './log-pipe.ts';
import { createRedactor } from './redact.ts';

export interface LogsConfig {
  readonly enabled: boolean;
  readonly level: 'info' | 'warn' | 'error';
  readonly destination: string;
  readonly format: 'auto' | 'json' | 'pretty';
  readonly capture_content: boolean;
}

export interface LogsOptions {
  readonly config: LogsConfig;
  readonly drops: DropCounter;
  /** Texts that must not be in the log, wherever they came from. */
  readonly secrets: readonly string[];
  readonly bounds?: Pick<LogPipeOptions, 'lengthMax'>;
}

export type Fields = Readonly<Record<string, unknown>>;

export interface Logs {
  /** Bytes that wait to be written. */
  readonly waiting: number;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  /** A line for a finished request: a warning where the server failed. */
  onProfile(profile: RequestProfile): void;
  /** Of something that observes requests. */
  onObserverFailure(error: unknown): void;
  watchEngines(engines: () => readonly WatchedEngine[]): void;
  /** Writes what waits, within this time. */
  close(timeoutMs: number): Promise<void>;
}

/** Throws `ConfigError` when the file cannot be written. The one file that loads pino, and it is loaded only for this. */
export async function openLogs({ config, drops, secrets, bounds }: LogsOptions): Promise<Logs> {
  const target = await toTarget(config.destination);
  const isTerminal = 'descriptor' in target && isatty(target.descriptor);
  const isPretty = config.format === 'pretty' || (config.format === 'auto' && isTerminal);
  const pipe = new LogPipe(
    { worker: { target, isPretty, hasColors: isTerminal && process.env['NO_COLOR'] === undefined }, ...bounds },
    drops,
  );
  const redactor = createRedactor(secrets);
  const options = {
    level: config.level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }), log: redactor.fields },
  };
  const logger = pino(options, pipe);
  let observerFailures = 0;
  let unwatch = () => {};

  return {
    get waiting() {
      return pipe.length;
    },
    info: (message, fields = {}) => logger.info(fields, message),
    warn: (message, fields = {}) => logger.warn(fields, message),
    onProfile(profile) {
      const level = profile.status >= 500 ? 'warn' : 'info';
      if (logger.isLevelEnabled(level)) logger[level](accessLine(profile, config.capture_content), 'request');
    },
    onObserverFailure(error) {
      observerFailures += 1;
      // It may fail for every request: the 1st, 2nd, 4th, 8th … are told.
      if (Math.log2(observerFailures) % 1 === 0)
        logger.error({ count: observerFailures, error: describeError(error, config.capture_content) }, 'an observer of requests failed');
    },
    watchEngines(engines) {
      unwatch = watchEngines(engines, (change) => logger[levelOf(change)](change, 'engine'));
    },
    async close(timeoutMs) {
      unwatch();
      await pipe.close(timeoutMs);
    },
  };
}

function levelOf({ state }: EngineChange): LogsConfig['level'] {
  if (state === 'failed') return 'error';
  return state === 'restarting' || state === 'unreachable' ? 'warn' : 'info';
}

async function toTarget(destination: string): Promise<Target> {
  if (destination === 'stdout') return { descriptor: 1 };
  if (destination === 'stderr') return { descriptor: 2 };
  try {
    await (await openLog(destination)).close();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    // A FIFO that nobody reads yet.
    if (code !== 'ENXIO') throw new ConfigError(`observability.logs.destination: the file cannot be written: ${message}.`);
  }
  return { path: destination };
}
