import { expOfNegative, negligibleLogRatio } from './exponential.ts';
import { selectGreatest } from './selection.ts';

/** Tokens still in the running for one choice. */
export interface Candidates {
  /** Their ids: the first `count`, in no order. */
  readonly ids: Int32Array;
  count: number;
  /** Each candidate's exp((logit − greatest logit) / temperature), by token id; for other tokens left over from earlier choices. */
  readonly weights: Float32Array;
}

export function createCandidates(vocabularySize: number): Candidates {
  return { ids: new Int32Array(vocabularySize), count: 0, weights: new Float32Array(vocabularySize) };
}

/**
 * The least logit with which a token is at least `minP` times as likely as the likeliest (min-p, Nguyen et al. 2024), and not negligible.
 */
export function lowestLogit(greatest: number, temperature: number, minP: number): number {
  return greatest + temperature * Math.max(Math.log(minP), negligibleLogRatio);
}

/**
 * Makes candidates of the tokens whose logit is at least `floor`, or of the `k` likeliest of them where k is above 0.
 * One pass for any k: whenever twice as many as wanted have gathered, the lesser half goes and the floor rises.
 */
export function gather(candidates: Candidates, logits: Float32Array, floor: number, k: number): void {
  const { ids } = candidates;
  const wanted = k > 0 ? k : Infinity;
  const limit = 2 * wanted + 64;
  const { length } = logits;
  let count = 0;
  for (let id = 0; id < length; id += 1) {
    if (!((logits[id] as number) >= floor)) continue; // NaN is not
    ids[count] = id;
    count += 1;
    if (count < limit) continue;
    selectGreatest(ids, count, logits, wanted);
    count = wanted;
    floor = logits[ids[wanted - 1] as number] as number;
  }
  if (count > wanted) selectGreatest(ids, count, logits, wanted);
  candidates.count = Math.min(count, wanted);
}

/** Gives every candidate its weight; returns their sum. */
export function weigh({ ids, count, weights }: Candidates, logits: Float32Array, greatest: number, temperature: number): number {
  const coolness = 1 / temperature;
  let total = 0;
  for (let place = 0; place < count; place += 1) {
    const id = ids[place] as number;
    const weight = expOfNegative(((logits[id] as number) - greatest) * coolness);
    weights[id] = weight;
    total += weight;
  }
  return total;
}

/** Draws a candidate in proportion to its weight, by the inverse of the cumulative distribution; `uniform` is in [0, 1). */
export function draw({ ids, count, weights }: Candidates, total: number, uniform: number): number {
  let left = uniform * total;
  for (let place = 0; place < count - 1; place += 1) {
    left -= weights[ids[place] as number] as number;
    if (left < 0) return ids[place] as number;
  }
  return ids[count - 1] as number;
}
