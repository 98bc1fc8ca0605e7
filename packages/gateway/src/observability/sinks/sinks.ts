import type { Next } from '@open-autoglm/protocol';
import type { Observer } from '../observer.ts';
import type { TracesConfig } from '../traces/tracing.ts';
import { captureContent } from './capture-content.ts';
import { DropCounter } from './drop-counter.ts';

export interface SinksConfig {
  readonly traces: TracesConfig;
}

export interface SinksParts {
  readonly isModel: (name: string) => boolean;
}

/** What a sink lost since the start. */
export interface SinkDrops {
  readonly sink: 'traces';
  readonly count: () => number;
}

/** Where what is observed goes, besides `/metrics`: as far as it is switched on. None of them ever holds a request up. */
export interface Sinks {
  readonly observers: readonly Observer[];
  readonly drops: readonly SinkDrops[];
  /** Puts the capture of contents in front of the path, where the configuration asks for it. */
  readonly capture: (path: Next) => Next;
  /** Delivers what waits, within `closeTimeoutMs`. */
  close(): Promise<void>;
}

/** For a collector that does not answer; the process ends all the same. */
const closeTimeoutMs = 2000;

/** Opens what is switched on, and loads its libraries only then. */
export async function openSinks({ traces }: SinksConfig, { isModel }: SinksParts): Promise<Sinks> {
  const spanDrops = new DropCounter(() => {}, () => {});
  const tracing = traces.enabled ? (await import('../traces/tracing.ts')).startTracing({ config: traces, drops: spanDrops, isModel }) : undefined;
  return {
    observers: tracing ? [tracing] : [],
    drops: tracing ? [{ sink: 'traces', count: () => spanDrops.count }] : [],
    capture: traces.enabled && traces.capture_content ? captureContent : (path) => path,
    close: async () => tracing?.close(closeTimeoutMs),
  };
}
