import { planPass, type WaitingTexts } from './pass-plan.ts';

export interface LanePassOptions {
  /** Tokens of one pass at most, where it holds more than one text. */
  readonly passTokens: number;
  /**
   * Of the tokens that are encoded while both lanes want some, the batch lane has at least this share, below 1: real time would never be
   * encoded.
   */
  readonly batchShareMin: number;
}

/** What each lane's requests have waiting, in order of arrival. */
export interface LaneTexts {
  readonly realtime: readonly WaitingTexts[];
  readonly batch: readonly WaitingTexts[];
}

/** How many texts each request gives to the next pass. */
export interface LanePlan {
  readonly realtime: readonly number[];
  readonly batch: readonly number[];
}

/**
 * For so long after a request in real time another is expected, and passes of the batch lane alone are short: who comes waits for the end
 * of one.
 */
const expectsRealtimeMs = 1000;
/** What a pass costs beside its tokens is a third of what a text costs: passes of a quarter lose some per cent. */
const shortPass = 1 / 4;
/** No more than so many passes are owed. One is paid at a time, in whole texts; with a bound of one, what did not fit would be lost. */
const owedPassesMax = 2;

/**
 * Which lane's texts the next pass takes. Real time goes first and by itself, because whatever else a pass holds makes it longer; the
 * batch lane has the passes between, and is owed its share of what real time takes from it.
 */
export class LanePasses {
  readonly #options: LanePassOptions;
  #owed = 0;
  #realtimeAtMs = -Infinity;

  constructor(options: LanePassOptions) {
    this.#options = options;
  }

  plan({ realtime, batch }: LaneTexts, nowMs: number): LanePlan {
    const { passTokens, batchShareMin } = this.#options;
    if (realtime.length === 0) {
      const isAlone = nowMs - this.#realtimeAtMs > expectsRealtimeMs;
      return { realtime: [], batch: planPass(batch, isAlone ? passTokens : Math.ceil(passTokens * shortPass)) };
    }
    this.#realtimeAtMs = nowMs;
    const takenBatch = this.#owed > 0 ? planPass(batch, Math.min(passTokens, this.#owed)) : batch.map(() => 0);
    const batchTokens = tokensOf(batch, takenBatch);
    // A text of the batch lane that fills the pass has it alone; the debt is then long.
    const taken = batchTokens === 0 ? planPass(realtime, passTokens) : planPass(realtime, passTokens - batchTokens, 'what fits');
    if (batch.length === 0) this.#owed = 0;
    else
      this.#owed = Math.min(
        owedPassesMax * passTokens,
        this.#owed + (tokensOf(realtime, taken) + batchTokens) * batchShareMin - batchTokens,
      );
    return { realtime: taken, batch: takenBatch };
  }
}

function tokensOf(waiting: readonly WaitingTexts[], taken: readonly number[]): number {
  let tokens = 0;
  for (const [index, lengths] of waiting.entries()) for (const length of lengths.slice(0, taken[index])) tokens += length;
  return tokens;
}
