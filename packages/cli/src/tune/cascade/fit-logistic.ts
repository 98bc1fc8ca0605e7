import {
  deviationsMax,
  hashedSize,
  standardised,
  type LinearModel,
  type NumberWeight,
  type Observation,
} from '@open-autoglm/gateway/cascade-policy';

export interface FitOptions {
  /** How strongly the weights of the named numbers are held at 0: as much as so many questions. */
  readonly numberPenalty: number;
  /** The same for words; undefined: words are not looked at. */
  readonly wordPenalty: number | undefined;
}

/** Questions in columns, as fitting reads them: standardised numbers, and words as sparse rows. */
interface Design {
  readonly names: readonly string[];
  readonly scales: readonly { readonly mean: number; readonly deviation: number }[];
  readonly rows: readonly Float64Array[];
  readonly words: Observation['words'][];
}

const iterationsMax = 200;
const remembered = 8;

/** The probability of `isRight` as a logistic regression with a ridge penalty; the smallest loss is found by L-BFGS, without chance. */
export function fitLogistic(observations: readonly Observation[], isRight: readonly boolean[], options: FitOptions): LinearModel {
  const design = toDesign(observations, options.wordPenalty !== undefined);
  const count = design.names.length;
  const size = 1 + count + (options.wordPenalty === undefined ? 0 : hashedSize);
  const share = Math.min(0.999, Math.max(0.001, isRight.filter(Boolean).length / isRight.length));
  const start = new Float64Array(size);
  start[0] = Math.log(share / (1 - share));
  const weights = minimise((at, gradient) => lossOf(design, isRight, options, at, gradient), start);
  const numbers: Record<string, NumberWeight> = {};
  for (const [index, name] of design.names.entries())
    numbers[name] = { ...(design.scales[index] as Design['scales'][number]), weight: weights[1 + index] as number };
  return { intercept: weights[0] as number, numbers, words: Array.from(weights.subarray(1 + count)) };
}

/** Only numbers that every question has: what is missing in some would tell where it came from. */
function toDesign(observations: readonly Observation[], hasWords: boolean): Design {
  const names = Object.keys(observations[0]?.numbers ?? {}).filter((name) =>
    observations.every(({ numbers }) => Number.isFinite(numbers[name])),
  );
  const scales = names.map((name) => {
    const values = observations.map(({ numbers }) => numbers[name] as number);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    // One that is always the same is of no use, and must not be of harm where it differs later.
    return { mean, deviation: Math.max(Math.sqrt(variance), 1 / deviationsMax) };
  });
  const rows = observations.map(({ numbers }) =>
    Float64Array.from(names, (name, index) =>
      standardised(numbers[name] as number, scales[index]?.mean ?? 0, scales[index]?.deviation ?? 1),
    ),
  );
  return { names, scales, rows, words: observations.map(({ words }) => (hasWords ? words : undefined)) };
}

/** The penalised negative log-likelihood, and its gradient. */
function lossOf(
  { rows, words }: Design,
  isRight: readonly boolean[],
  { numberPenalty, wordPenalty = 0 }: FitOptions,
  at: Float64Array,
  gradient: Float64Array,
): number {
  const numberCount = rows[0]?.length ?? 0;
  gradient.fill(0);
  let loss = 0;
  for (let question = 0; question < rows.length; question += 1) {
    const row = rows[question] as Float64Array;
    const sparse = words[question];
    let logit = at[0] as number;
    for (let index = 0; index < numberCount; index += 1) logit += (at[1 + index] as number) * (row[index] as number);
    if (sparse)
      for (let index = 0; index < sparse.places.length; index += 1)
        logit += (at[1 + numberCount + (sparse.places[index] as number)] as number) * (sparse.values[index] as number);
    const right = isRight[question] ? 1 : 0;
    loss += Math.max(0, logit) - logit * right + Math.log1p(Math.exp(-Math.abs(logit)));
    const error = 1 / (1 + Math.exp(-logit)) - right;
    (gradient[0] as number) += error;
    for (let index = 0; index < numberCount; index += 1) (gradient[1 + index] as number) += error * (row[index] as number);
    if (sparse)
      for (let index = 0; index < sparse.places.length; index += 1)
        (gradient[1 + numberCount + (sparse.places[index] as number)] as number) += error * (sparse.values[index] as number);
  }
  for (let index = 1; index < at.length; index += 1) {
    const penalty = index <= numberCount ? numberPenalty : wordPenalty;
    loss += (penalty / 2) * (at[index] as number) ** 2;
    (gradient[index] as number) += penalty * (at[index] as number);
  }
  return loss;
}

type Loss = (at: Float64Array, gradient: Float64Array) => number;

/** L-BFGS (Nocedal 1980) with backtracking: the loss is convex, so it ends at the one minimum. */
function minimise(loss: Loss, start: Float64Array): Float64Array {
  let at = start;
  let gradient = new Float64Array(start.length);
  let value = loss(at, gradient);
  const steps: { readonly moved: Float64Array; readonly turned: Float64Array; readonly inverse: number }[] = [];
  for (let iteration = 0; iteration < iterationsMax; iteration += 1) {
    const direction = directionOf(gradient, steps);
    const slope = dot(direction, gradient);
    if (slope > -1e-9 * Math.max(1, Math.abs(value))) break;
    let length = steps.length === 0 ? 1 / Math.max(1, Math.sqrt(dot(gradient, gradient))) : 1;
    let next = moved(at, direction, length);
    const nextGradient = new Float64Array(at.length);
    let nextValue = loss(next, nextGradient);
    for (let halving = 0; nextValue > value + 1e-4 * length * slope && halving < 30; halving += 1) {
      length /= 2;
      next = moved(at, direction, length);
      nextValue = loss(next, nextGradient);
    }
    if (nextValue >= value) break;
    const step = next.map((element, index) => element - (at[index] as number));
    const turned = nextGradient.map((element, index) => element - (gradient[index] as number));
    const curvature = dot(step, turned);
    if (curvature > 1e-12) steps.push({ moved: step, turned, inverse: 1 / curvature });
    if (steps.length > remembered) steps.shift();
    const gained = value - nextValue;
    [at, gradient, value] = [next, nextGradient, nextValue];
    if (gained < 1e-7 * Math.abs(value)) break;
  }
  return at;
}

function directionOf(
  gradient: Float64Array,
  steps: readonly { readonly moved: Float64Array; readonly turned: Float64Array; readonly inverse: number }[],
): Float64Array {
  const direction = gradient.map((element) => -element);
  const shares: number[] = [];
  for (const step of steps.toReversed()) {
    const share = step.inverse * dot(step.moved, direction);
    shares.push(share);
    addTo(direction, step.turned, -share);
  }
  const last = steps.at(-1);
  if (last)
    for (let index = 0, scale = 1 / (last.inverse * dot(last.turned, last.turned)); index < direction.length; index += 1)
      (direction[index] as number) *= scale;
  for (const step of steps) addTo(direction, step.moved, (shares.pop() as number) - step.inverse * dot(step.turned, direction));
  return direction;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let index = 0; index < a.length; index += 1) sum += (a[index] as number) * (b[index] as number);
  return sum;
}

function addTo(target: Float64Array, other: Float64Array, factor: number): void {
  for (let index = 0; index < target.length; index += 1) (target[index] as number) += factor * (other[index] as number);
}

function moved(at: Float64Array, direction: Float64Array, length: number): Float64Array {
  return at.map((element, index) => element + length * (direction[index] as number));
}
