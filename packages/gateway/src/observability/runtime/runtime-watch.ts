import { constants, monitorEventLoopDelay, PerformanceObserver, type PerformanceEntry } from 'node:perf_hooks';
import type { Pauses } from '../bottleneck/diagnoser.ts';
import { IntervalRing } from './interval-ring.ts';

/** How often the loop is looked at; a wake-up costs some microseconds. */
const tickMs = 20;
/** A timer that is later than this tells of a loop that was blocked. */
const blockedFromMs = 5;
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

/** Watches where the gateway's own process stands still: its garbage collector and its event loop. */
export class RuntimeWatch implements Pauses {
  /** Times between two ticks of a timer of 10 ms, in nanoseconds. */
  readonly loopDelay = monitorEventLoopDelay({ resolution: 10 });
  readonly #gc = new IntervalRing(remembered);
  readonly #blocked = new IntervalRing(remembered);
  readonly #observer: PerformanceObserver;
  readonly #timer: NodeJS.Timeout;
  readonly #onGc: OnGc;
  #tickedAtMs = performance.now();

  constructor(onGc: OnGc = () => {}) {
    this.#onGc = onGc;
    this.#observer = new PerformanceObserver((list) => this.#takeGc(list.getEntries()));
    this.#observer.observe({ entryTypes: ['gc'] });
    this.#timer = setInterval(() => this.#tick(), tickMs).unref();
    this.loopDelay.enable();
  }

  gcMs(fromMs: number, toMs: number): number {
    this.#takeGc(this.#observer.takeRecords());
    return this.#gc.overlap(fromMs, toMs);
  }

  loopBlockedMs(fromMs: number, toMs: number): number {
    const dueAtMs = this.#tickedAtMs + tickMs;
    // The loop may be on its way out of a block, and its timer not yet heard.
    const current = toMs - dueAtMs >= blockedFromMs ? Math.max(0, toMs - Math.max(fromMs, dueAtMs)) : 0;
    return this.#blocked.overlap(fromMs, toMs) + current;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#observer.disconnect();
    this.loopDelay.disable();
  }

  #tick(): void {
    const nowMs = performance.now();
    const dueAtMs = this.#tickedAtMs + tickMs;
    if (nowMs - dueAtMs >= blockedFromMs) this.#blocked.add(dueAtMs, nowMs);
    this.#tickedAtMs = nowMs;
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
