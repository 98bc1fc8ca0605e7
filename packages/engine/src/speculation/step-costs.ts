/** What decides how long a step takes. */
export interface StepSize {
  /** Tokens that it computes. */
  readonly columns: number;
  /** Keys that these look at, in all. */
  readonly keys: number;
  /** One token of each sequence, and no draft. */
  readonly isPlain: boolean;
}

/** What steps cost, against each other. */
export interface StepCosts {
  /** In any unit; not finite where a step's sums would not be those of larger ones. */
  costOf(step: StepSize): number;
  /** A step took so long. Returns what it cost, in the unit of `costOf`; undefined when that cannot be told. */
  observe(step: StepSize, milliseconds: number): number | undefined;
}

/**
 * Of a new step's surprise, so much is believed: of a plain one, of which there are many, and of one with drafts. Of the first, as many as
 * make a whole, the median is.
 */
const gains = { plain: 1 / 8, drafted: 1 / 4 };
/** A step that another program interrupted tells little: after the first few, no surprise counts as more than this factor, up or down. */
const surpriseMax = Math.log(1.5);
/** What was learnt of drafts fades while there are none, so that they are tried again: by half in some 700 plain steps. */
const fading = { everySteps: 64, share: 15 / 16 };

/**
 * Costs as they turn out while the engine works: an estimate made beforehand, times how fast the machine is at present, which
 * plain steps tell, times how far steps with drafts are from the estimate, by their number of columns. Which of them
 * is chosen changes no bit of an answer, so a noisy clock cannot either. Constant time and memory.
 */
export class LearntStepCosts implements StepCosts {
  readonly #estimate: (columns: number, keys: number, isPlain: boolean) => number;
  /** Logarithms of the factors, the latter by number of columns. */
  readonly #speed = new LearntValue(gains.plain);
  readonly #drafted = new Map<number, LearntValue>();
  /** By number of columns, as long as nothing new is known. */
  #corrections: number[] = [];
  #plainSteps = 0;

  /** `estimate`: in any unit of time, not finite where it is not known. Rather too low than too high: what seems too dear is not tried. */
  constructor(estimate: (columns: number, keys: number, isPlain: boolean) => number) {
    this.#estimate = estimate;
  }

  costOf({ columns, keys, isPlain }: StepSize): number {
    return this.#estimate(columns, keys, isPlain) * (isPlain ? 1 : (this.#corrections[columns] ??= Math.exp(this.#correctionFor(columns))));
  }

  observe({ columns, keys, isPlain }: StepSize, milliseconds: number): number | undefined {
    const found = Math.log(milliseconds / this.#estimate(columns, keys, isPlain));
    if (!Number.isFinite(found)) return undefined;
    const cost = milliseconds / Math.exp(this.#speed.value);
    if (isPlain) this.#learnSpeed(found);
    else if (this.#plainSteps > 0) this.#learn(columns, found - this.#speed.value);
    return cost;
  }

  #learnSpeed(found: number): void {
    this.#plainSteps += 1;
    this.#speed.learn(found);
    if (this.#plainSteps % fading.everySteps !== 0) return;
    for (const drafted of this.#drafted.values()) drafted.fade(fading.share);
    this.#corrections = [];
  }

  #learn(columns: number, found: number): void {
    const drafted = this.#drafted.get(columns) ?? new LearntValue(gains.drafted);
    this.#drafted.set(columns, drafted);
    drafted.learn(found);
    this.#corrections = [];
  }

  /** That of the nearest number of columns that was seen. */
  #correctionFor(columns: number): number {
    let [correction, least] = [0, Infinity];
    for (const [seen, { value }] of this.#drafted) {
      const distance = Math.abs(Math.log(seen / columns));
      if (distance < least) [correction, least] = [value, distance];
    }
    return correction;
  }
}

/**
 * The median of the first few, of two the lower since interruptions only add; from then on an average that fades and that no surprise moves
 * far.
 */
class LearntValue {
  readonly #gain: number;
  readonly #first: number[] = [];
  #value = 0;

  constructor(gain: number) {
    this.#gain = gain;
  }

  /** 0 before anything was learnt. */
  get value(): number {
    return this.#value;
  }

  learn(found: number): void {
    if (this.#first.length * this.#gain >= 1) {
      this.#value += this.#gain * Math.max(-surpriseMax, Math.min(surpriseMax, found - this.#value));
      return;
    }
    this.#first.push(found);
    this.#first.sort((a, b) => a - b);
    this.#value = this.#first[(this.#first.length - 1) >> 1] as number;
  }

  fade(share: number): void {
    this.#value *= share;
  }
}
