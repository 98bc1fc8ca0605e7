import type { EngineStats, ProcessStats } from '@open-autoglm/protocol';

/** Of the engine's core; the rest is the process's. */
export type CoreStats = Omit<EngineStats, 'process'>;

/** What the reporter looks at. */
export interface ReportedCore {
  readonly idle: boolean;
  stats(): CoreStats;
}

export interface StatsReporterParts {
  readonly core: ReportedCore;
  readonly process: { resume(): void; pause(): void; read(): ProcessStats };
  readonly send: (stats: EngineStats) => void;
  readonly now?: () => number;
}

/** Between two reports, in milliseconds. */
export const reportIntervalMs = 1000;

/**
 * Says how the engine is, at most once a second: the first time as soon as there is work, then while there is, and a last
 * time when there is none any more. An engine at rest is silent.
 */
export class StatsReporter {
  readonly #parts: StatsReporterParts;
  readonly #now: () => number;
  #timer: NodeJS.Timeout | undefined;
  #sentAtMs = -Infinity;

  constructor(parts: StatsReporterParts) {
    this.#parts = parts;
    this.#now = parts.now ?? (() => performance.now());
  }

  /** Something has changed. To be called after every step and whenever work came or went; it mostly costs a comparison. */
  touch(): void {
    if (this.#timer) return;
    this.#parts.process.resume();
    this.#timer = setTimeout(() => this.#send(), Math.max(0, this.#sentAtMs + reportIntervalMs - this.#now()));
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#parts.process.pause();
  }

  #send(): void {
    const { core, process, send } = this.#parts;
    this.#timer = undefined;
    this.#sentAtMs = this.#now();
    send({ ...core.stats(), process: process.read() });
    if (core.idle) process.pause();
    else this.touch();
  }
}
