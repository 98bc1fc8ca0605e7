import { createHistogram } from 'node:perf_hooks';
import { IntervalRing } from './interval-ring.ts';

/** How often the loop is looked at while there is work. Each look may wake a processor, which costs more than the look. */
const tickMs = 20;
/** A tick that is later than this tells of a loop that was blocked. */
const blockedFromMs = 5;
/** Blocks that are remembered: more than fit into any request whose slowness they could explain alone. */
const remembered = 512;
/** The longest delay that is told apart. */
const hourInMicroseconds = 3.6e9;

/**
 * Watches how long the event loop keeps others waiting, by a timer that ticks only while there is work: a process at rest is not
 * woken for it. It rests after a whole tick without work, so that requests one after the other do not start it anew each.
 */
export class LoopWatch {
  /** By how many microseconds ticks were late; at least one, which a histogram wants. */
  readonly delays = createHistogram({ highest: hourInMicroseconds, figures: 2 });
  readonly #blocked = new IntervalRing(remembered);
  #timer: NodeJS.Timeout | undefined;
  #isTicking = false;
  #tickedAtMs = 0;
  #workCount = 0;
  #hadWork = false;

  /** Some work begins, which will end. */
  begin(): void {
    this.#workCount += 1;
    this.#hadWork = true;
    if (!this.#isTicking) this.#start();
  }

  end(): void {
    this.#workCount -= 1;
  }

  /** Of the time between two moments of `performance.now()`, while there was work. */
  blockedMs(fromMs: number, toMs: number): number {
    const dueAtMs = this.#tickedAtMs + tickMs;
    // The loop may be on its way out of a block, and its timer not yet heard.
    const current = this.#isTicking && toMs - dueAtMs >= blockedFromMs ? Math.max(0, toMs - Math.max(fromMs, dueAtMs)) : 0;
    return this.#blocked.overlap(fromMs, toMs) + current;
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #start(): void {
    this.#isTicking = true;
    this.#tickedAtMs = performance.now();
    this.#timer ??= setTimeout(() => this.#tick(), tickMs).unref();
    this.#timer.refresh();
  }

  #tick(): void {
    const nowMs = performance.now();
    const dueAtMs = this.#tickedAtMs + tickMs;
    if (nowMs - dueAtMs >= blockedFromMs) this.#blocked.add(dueAtMs, nowMs);
    this.delays.record(Math.max(1, Math.round((nowMs - dueAtMs) * 1000)));
    this.#tickedAtMs = nowMs;
    this.#isTicking = this.#workCount > 0 || this.#hadWork;
    this.#hadWork = false;
    if (this.#isTicking) this.#timer?.refresh();
  }
}
