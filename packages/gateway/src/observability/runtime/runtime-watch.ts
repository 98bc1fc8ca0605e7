import { constants, PerformanceObserver, type PerformanceEntry } from 'node:perf_hooks';
import type { Pauses } from '../bottleneck/diagnoser.ts';
import { IntervalRing } from './interval-ring.ts';
import { LoopWatch } from './loop-watch.ts';

/** Pauses that are remembered: more than fit into any request whose slowness they could explain alone. */
const remembered = 512;

export type GcKind = 'major' | 'minor' | 'incremental' | 'weakcb';
/** What Node's types do not say of an entry of type `gc`. */
interface GcEntry extends PerformanceEntry {
  readonly detail: { readonly kind: number };
}

export type OnGc = (kind: GcKind, seconds: number) => void;

const kinds: Readonly<Record<number, GcKind>> = {
  [constants.NODE_PERFORMANCE_GC_MAJOR]: 'major',
  [constants.NODE_PERFORMANCE_GC_MINOR]: 'minor',
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL]: 'incremental',
  [constants.NODE_PERFORMANCE_GC_WEAKCB]: 'weakcb',
};

/** Watches where the gateway's own process stands still: its garbage collector, and while there are requests its event loop. */
export class RuntimeWatch implements Pauses {
  readonly loop = new LoopWatch();
  readonly #gc = new IntervalRing(remembered);
  readonly #observer: PerformanceObserver;
  readonly #onGc: OnGc;

  constructor(onGc: OnGc = () => {}) {
    this.#onGc = onGc;
    this.#observer = new PerformanceObserver((list) => this.#takeGc(list.getEntries()));
    this.#observer.observe({ entryTypes: ['gc'] });
  }

  gcMs(fromMs: number, toMs: number): number {
    this.#takeGc(this.#observer.takeRecords());
    return this.#gc.overlap(fromMs, toMs);
  }

  loopBlockedMs(fromMs: number, toMs: number): number {
    return this.loop.blockedMs(fromMs, toMs);
  }

  close(): void {
    this.loop.close();
    this.#observer.disconnect();
  }

  #takeGc(entries: readonly PerformanceEntry[]): void {
    for (const entry of entries) {
      const { startTime, duration } = entry;
      this.#gc.add(startTime, startTime + duration);
      const kind = kinds[(entry as GcEntry).detail.kind];
      if (kind) this.#onGc(kind, duration / 1000);
    }
  }
}
