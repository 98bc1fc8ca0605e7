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
  /** A step took so long. */
  observe(step: StepSize, milliseconds: number): void;
}

/** Of a new step's surprise, so much is believed at least: of a plain one, of which there are many, and of one with drafts. The first ones count in full. */
const gains = { plain: 1 / 8, drafted: 1 / 4 };
/** A step that another program interrupted tells little: no surprise counts as more than this factor, up or down. */
const surpriseMax = Math.log(1.5);
/** What was learnt of drafts fades while there are none, so that they are tried again: by half in some 700 plain steps. */
const fading = { everySteps: 64, share: 15 / 16 };

/**
 * Costs as they turn out while the engine works: an estimate made beforehand, times how fast the machine is at present, which
 * plain steps tell, times how far steps with drafts are from the estimate, by their number of columns. Which of them
 * is chosen changes no bit of an answer, so a noisy clock cannot either. Constant time and memory.
 */
export class LearntStepCosts implements StepCosts {
  readonly #estimate: (columns: number, keys: number) => number;
  /** Logarithms of the factors. */
  #speed: number | undefined;
  readonly #drafted = new Map<number, number>();
  /** By number of columns, as long as nothing new is known. */
  #corrections: number[] = [];
  #plainSteps = 0;
  /** By number of columns: steps with drafts so far. */
  readonly #draftedSteps: number[] = [];

  /** `estimate`: in any unit of time, not finite where it is not known. Rather too low than too high: what seems too dear is not tried. */
  constructor(estimate: (columns: number, keys: number) => number) {
    this.#estimate = estimate;
  }

  costOf({ columns, keys, isPlain }: StepSize): number {
    return this.#estimate(columns, keys) * (isPlain ? 1 : (this.#corrections[columns] ??= Math.exp(this.#correctionFor(columns))));
  }

  observe({ columns, keys, isPlain }: StepSize, milliseconds: number): void {
    const found = Math.log(milliseconds / this.#estimate(columns, keys));
    if (!Number.isFinite(found)) return;
    if (isPlain) this.#learnSpeed(found);
    else if (this.#speed !== undefined) this.#learn(columns, found - this.#speed);
  }

  #learnSpeed(found: number): void {
    this.#plainSteps += 1;
    this.#speed = approach(this.#speed ?? found, found, gains.plain, this.#plainSteps);
    if (this.#plainSteps % fading.everySteps !== 0) return;
    for (const [columns, value] of this.#drafted) this.#drafted.set(columns, value * fading.share);
    this.#corrections = [];
  }

  #learn(columns: number, found: number): void {
    const steps = (this.#draftedSteps[columns] ?? 0) + 1;
    this.#draftedSteps[columns] = steps;
    this.#drafted.set(columns, approach(this.#correctionFor(columns), found, gains.drafted, steps));
    this.#corrections = [];
  }

  /** That of the nearest number of columns that was seen. */
  #correctionFor(columns: number): number {
    let [correction, least] = [0, Infinity];
    for (const [seen, value] of this.#drafted) {
      const distance = Math.abs(Math.log(seen / columns));
      if (distance < least) [correction, least] = [value, distance];
    }
    return correction;
  }
}

/** `steps`: this one and those before it. The mean of the first few, whatever they are; from then on an average that fades. */
function approach(value: number, found: number, gain: number, steps: number): number {
  if (steps * gain <= 1) return value + (found - value) / steps;
  return value + gain * Math.max(-surpriseMax, Math.min(surpriseMax, found - value));
}
