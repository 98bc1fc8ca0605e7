/**
 * Computing time over which the share of the processors is judged. The system counts the time of threads that run in ticks of up to 10 ms.
 */
const windowMs = 100;
/**
 * Below this share of the cores that the threads should have, one thread less computes faster: a thread without a core keeps all others
 * waiting.
 */
const shareMin = 0.8;
/**
 * Below this one, so much faster that one window decides. Above it a second has to agree: what passes within a window costs less than the
 * rest after it.
 */
const shareDire = 0.65;
/** More threads are tried after so long at the soonest; the wait doubles each time they had to be taken back soon. */
const firstRestMs = 125;
const restMaxMs = 8000;
/** Of a core that counts as free. With so much, two threads have 0.85 of what they should have: enough to stay. */
const idleMin = 0.7;

export interface GovernorOptions {
  readonly threadsMax: number;
  /** Cores that did nothing since the last call, as a number such as 1.4. */
  readonly idleCores: () => number;
  /** Milliseconds on any clock that does not go back. */
  readonly now: () => number;
}

/**
 * How many threads compute the next graph. ggml's threads wait for each other by spinning at every operation, so when another program takes
 * one of their cores, all lose the whole time slice, some hundred times a step: two threads on two cores can then be fifty times
 * slower than one. The processor time that a graph got, against the time that it took, tells that cores were missing.
 */
export class ThreadGovernor {
  readonly #options: GovernorOptions;
  #threads: number;
  #wallMs = 0;
  #cpuMs = 0;
  #restMs = firstRestMs;
  #raisedAtMs = -Infinity;
  #mayRaiseAtMs = 0;
  #isShort = false;
  #missingMs = 0;

  constructor(options: GovernorOptions) {
    this.#options = options;
    this.#threads = options.threadsMax;
  }

  get threads(): number {
    return this.#threads;
  }

  /**
   * Milliseconds, since the start, that graphs took because not all of `threadsMax` threads had a core. The system counts processor
   * time in ticks: off by up to one, either way.
   */
  get missingCoresMs(): number {
    return this.#missingMs;
  }

  /** A graph was computed in `wallMs`, for which the process got `cpuMs` of all cores together. */
  onComputed(wallMs: number, cpuMs: number): void {
    this.#wallMs += wallMs;
    this.#cpuMs += cpuMs;
    this.#missingMs += wallMs - cpuMs / this.#options.threadsMax;
    if (this.#wallMs < windowMs) return;
    const share = this.#cpuMs / (this.#wallMs * this.#threads);
    this.#wallMs = 0;
    this.#cpuMs = 0;
    const wasShort = this.#isShort;
    this.#isShort = share < shareMin;
    if (this.#threads > 1 && (share < shareDire || (this.#isShort && wasShort))) this.#lower(share);
    else if (this.#threads < this.#options.threadsMax && this.#options.now() >= this.#mayRaiseAtMs) this.#raise();
  }

  #lower(share: number): void {
    const now = this.#options.now();
    this.#restMs = now - this.#raisedAtMs < 2 * this.#restMs ? Math.min(restMaxMs, 2 * this.#restMs) : firstRestMs;
    this.#mayRaiseAtMs = now + this.#restMs;
    this.#isShort = false;
    this.#threads = Math.max(1, Math.min(this.#threads - 1, Math.floor(this.#threads * share)));
    // The idle time that counts begins now.
    this.#options.idleCores();
  }

  #raise(): void {
    const now = this.#options.now();
    const free = Math.floor(this.#options.idleCores() + 1 - idleMin);
    this.#mayRaiseAtMs = now + firstRestMs;
    if (free < 1) return;
    this.#threads = Math.min(this.#options.threadsMax, this.#threads + free);
    this.#raisedAtMs = now;
  }
}
