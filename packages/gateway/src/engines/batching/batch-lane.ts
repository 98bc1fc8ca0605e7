import type { Lane } from '@open-autoglm/protocol';

export interface BatchLaneOptions {
  /** Texts of a call. */
  readonly sizeMax: number;
  /**
   * Of the texts that are sent while both lanes have some waiting, the batch lane's share at least. Below 1: nothing that it sends would be
   * enough.
   */
  readonly batchShareMin: number;
}

/** What there is at this moment. */
export interface BatchLaneLoad {
  /** Calls under way. */
  readonly running: Readonly<Record<Lane, number>>;
  /** Texts. */
  readonly waiting: Readonly<Record<Lane, number>>;
  readonly nowMs: number;
}

/** For so long after a request in real time another is expected. */
const expectsRealtimeMs = 1000;
/** One that the server computes, and one that it has when that ends. */
const callsAloneMax = 2;
/** Of a full call, where real time is expected: who comes waits for the end of one. */
const shortCall = 1 / 4;

/**
 * How much of the batch lane another server gets. Beside real time one short call at a time, and none before real time that waits; but
 * what it is owed, its share of what is sent meanwhile, goes whatever runs, as soon as that is a short call. Alone, two full ones.
 */
export class BatchLane {
  readonly #options: BatchLaneOptions;
  /** Less than none: what it had more. No more of that than a call is held against it, so that it gets its share again soon. */
  #owed = 0;
  #realtimeAtMs = -Infinity;

  constructor(options: BatchLaneOptions) {
    this.#options = options;
  }

  onRealtime(nowMs: number): void {
    this.#realtimeAtMs = nowMs;
  }

  /** Texts of the batch lane that may be sent now. */
  room(load: BatchLaneLoad): number {
    const { sizeMax } = this.#options;
    const { running, waiting } = load;
    if (this.#isAlone(load)) return running.batch < callsAloneMax ? sizeMax : 0;
    const short = Math.max(1, Math.floor(sizeMax * shortCall));
    if (this.#owed >= short) return Math.min(sizeMax, Math.floor(this.#owed));
    return running.batch === 0 && (waiting.realtime === 0 || this.#owed > 0) ? short : 0;
  }

  /** `load`: what is left when these have gone. */
  onSend(lane: Lane, texts: number, load: BatchLaneLoad): void {
    const { sizeMax, batchShareMin } = this.#options;
    const share = batchShareMin * texts;
    if (lane === 'realtime') {
      // What the batch lane did not want is not owed to it.
      if (load.waiting.batch > 0) this.#owed += share;
      return;
    }
    this.#owed = this.#isAlone(load) ? 0 : Math.max(-sizeMax, this.#owed + share - texts);
    if (load.waiting.batch === 0) this.#owed = Math.min(0, this.#owed);
  }

  #isAlone({ running, waiting, nowMs }: BatchLaneLoad): boolean {
    return running.realtime === 0 && waiting.realtime === 0 && nowMs - this.#realtimeAtMs > expectsRealtimeMs;
  }
}
