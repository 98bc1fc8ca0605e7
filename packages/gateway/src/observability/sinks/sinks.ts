import type { Next } from '@open-autoglm/protocol';
import type { Logs, LogsConfig } from '../logs/logs.ts';
import type { Observer } from '../observer.ts';
import type { TracesConfig, Tracing } from '../traces/tracing.ts';
import { captureContent } from './capture-content.ts';
import { DropCounter } from './drop-counter.ts';

export interface SinksConfig {
  readonly logs: LogsConfig;
  readonly traces: TracesConfig;
}

export interface SinksParts {
  readonly isModel: (name: string) => boolean;
  /** The whole configuration, and where it names variables their values: what is secret in it is kept out of the log. */
  readonly config: unknown;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** What a sink lost since the start. */
export interface SinkDrops {
  readonly sink: 'logs' | 'traces';
  readonly count: () => number;
}

/** Where what is observed goes, besides `/metrics`: as far as it is switched on. None of them ever holds a request up. */
export interface Sinks {
  readonly observers: readonly Observer[];
  readonly logs: Logs | undefined;
  readonly drops: readonly SinkDrops[];
  /** Puts the capture of contents in front of the path, where the configuration asks for it. */
  readonly capture: (path: Next) => Next;
  /** Delivers what waits, traces and logs within `closeTimeoutMs` each. */
  close(): Promise<void>;
}

/** For a collector that does not answer, or a disk that does not write; the process ends all the same. */
const closeTimeoutMs = 2000;

/** Opens what is switched on, and loads its libraries only then. Rejects with `ConfigError` when the log's file cannot be written. */
export async function openSinks(config: SinksConfig, parts: SinksParts): Promise<Sinks> {
  const lineDrops = new DropCounter(
    () => {},
    (count) => logs?.warn('log lines were dropped', { count }),
  );
  const logs = config.logs.enabled ? await openLogsLazily(config.logs, lineDrops, parts) : undefined;
  const spanDrops = new DropCounter(
    (reason) => logs?.warn('spans are being dropped', { reason }),
    (count) => logs?.warn('spans were dropped; the collector takes them again', { count }),
  );
  const tracing = config.traces.enabled ? await startTracingLazily(config.traces, spanDrops, parts) : undefined;
  const isCapturing = (config.traces.enabled && config.traces.capture_content) || (config.logs.enabled && config.logs.capture_content);
  return {
    observers: tracing ? [tracing] : [],
    logs,
    drops: [
      ...(logs ? [{ sink: 'logs', count: () => lineDrops.count } as const] : []),
      ...(tracing ? [{ sink: 'traces', count: () => spanDrops.count } as const] : []),
    ],
    capture: isCapturing ? captureContent : (path) => path,
    async close() {
      await tracing?.close(closeTimeoutMs);
      await logs?.close(closeTimeoutMs);
    },
  };
}

async function openLogsLazily(config: LogsConfig, drops: DropCounter, { config: whole, env }: SinksParts): Promise<Logs> {
  const [{ openLogs }, { secretsOf }] = await Promise.all([import('../logs/logs.ts'), import('../logs/redact.ts')]);
  return openLogs({ config, drops, secrets: secretsOf(whole, env) });
}

async function startTracingLazily(config: TracesConfig, drops: DropCounter, { isModel }: SinksParts): Promise<Tracing> {
  const { startTracing } = await import('../traces/tracing.ts');
  return startTracing({ config, drops, isModel });
}
