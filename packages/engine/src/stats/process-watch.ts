import { monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks';
import type { ProcessStats } from '@open-autoglm/protocol';

/** How often the loop is looked at, in milliseconds; what is above it is delay. */
const resolutionMs = 10;

/** Watches the process it runs in: processor, memory, and how long its event loop and its garbage collector kept others waiting. */
export class ProcessWatch {
  /** Nanoseconds between two looks. */
  readonly #loop = monitorEventLoopDelay({ resolution: resolutionMs });
  readonly #observer: PerformanceObserver;
  #gcCount = 0;
  #gcMs = 0;

  constructor() {
    this.#observer = new PerformanceObserver((list) => this.#count(list.getEntries()));
    this.#observer.observe({ entryTypes: ['gc'] });
  }

  /** From now on the loop is looked at; a process at rest need not be woken for it. */
  resume(): void {
    this.#loop.enable();
  }

  pause(): void {
    this.#loop.disable();
  }

  /** Milliseconds of the collector's pauses since the start. The last one is known a turn of the event loop later. */
  get gcMs(): number {
    this.#count(this.#observer.takeRecords());
    return this.#gcMs;
  }

  /** The loop's delay is that since the call before. */
  read(): ProcessStats {
    const { gcMs } = this;
    const { user, system } = process.cpuUsage();
    const { rss, heapUsed } = process.memoryUsage();
    const loopDelayMs = {
      p50: this.#delayMs(this.#loop.percentile(50)),
      p99: this.#delayMs(this.#loop.percentile(99)),
      max: this.#delayMs(this.#loop.max),
    };
    this.#loop.reset();
    return {
      cpuSeconds: (user + system) / 1e6,
      residentBytes: rss,
      heapUsedBytes: heapUsed,
      loopDelayMs,
      gcCount: this.#gcCount,
      gcSeconds: gcMs / 1000,
    };
  }

  close(): void {
    this.#loop.disable();
    this.#observer.disconnect();
  }

  #delayMs(nanoseconds: number): number {
    return this.#loop.count === 0 ? 0 : Math.max(0, nanoseconds / 1e6 - resolutionMs);
  }

  #count(entries: readonly { readonly duration: number }[]): void {
    for (const { duration } of entries) {
      this.#gcCount += 1;
      this.#gcMs += duration;
    }
  }
}
