import type { Lane } from '@open-autoglm/protocol';
import { chunkGranularity } from './plan.ts';

export type LaneCounts = Readonly<Record<Lane, number>>;

/** Places that the batch lane keeps, or is kept free for it while it waits. */
export function batchPlaces(maxBatchSize: number, share: number): number {
  return Math.min(maxBatchSize, Math.ceil(maxBatchSize * share));
}

/** How many of a lane's waiting sequences may take one of `free` places: real time leaves the batch lane those that are its own. */
export function placesFor(lane: Lane, free: number, running: LaneCounts, waiting: LaneCounts, batchPlacesMin: number): number {
  if (lane === 'batch' || waiting.batch === 0) return free;
  return free - Math.max(0, batchPlacesMin - running.batch);
}

const realtimeOnly: readonly Lane[] = ['realtime'];
const realtimeFirst: readonly Lane[] = ['realtime', 'batch'];
const batchFirst: readonly Lane[] = ['batch', 'realtime'];

/** Nobody saves up more than this, in prompt tokens and in steps. */
const promptCreditMax = 4 * chunkGranularity;
/** Nor owes more: a piece that it read at once. */
const promptDebtMax = 16 * chunkGranularity;
const stepCreditMax = 1;

/**
 * What the batch lane is owed of prompt tokens and steps: its share of what real time has while both want some. Who is owed
 * nothing comes second; so batch moves on beside any load, at a rate that is its share at worst.
 */
export class LaneShare {
  readonly #share: number;
  #promptCredit = 0;
  #stepCredit = 0;

  constructor(share: number) {
    this.#share = share;
  }

  /** Whose prompts are read first in this step. */
  order(wantsBatch: boolean): readonly Lane[] {
    if (!wantsBatch) return realtimeOnly;
    return this.#promptCredit >= chunkGranularity ? batchFirst : realtimeFirst;
  }

  /** Tokens of prompts that a step read, while the batch lane wanted to read some. */
  onPrompts({ realtime, batch }: LaneCounts): void {
    // What it read while real time read nothing, it took from nobody.
    const isFirst = this.#promptCredit >= chunkGranularity;
    if (realtime === 0 && !isFirst) return;
    this.#promptCredit = Math.min(promptCreditMax, Math.max(-promptDebtMax, this.#promptCredit + (realtime + batch) * this.#share - batch));
  }

  /** Whether the batch lane decodes in this step, in which real time runs too. Asked once a step. */
  takeStep(): boolean {
    this.#stepCredit += this.#share;
    if (this.#stepCredit < stepCreditMax) return false;
    this.#stepCredit -= stepCreditMax;
    return true;
  }
}
