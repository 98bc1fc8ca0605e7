import type { Candidates } from './candidates.ts';
import { selectMass, sumOf } from './selection.ts';

/**
 * Keeps the fewest of the likeliest candidates that hold `topP` of their total weight (nucleus sampling, Holtzman et al.
 * 2020); returns the weight kept. Nothing is sorted.
 */
export function keepTopP(candidates: Candidates, topP: number, total: number): number {
  if (topP >= 1) return total;
  const { ids, weights } = candidates;
  // All tokens lighter than this together weigh less than what may go, so one pass is rid of most of the vocabulary.
  dropLighter(candidates, ((1 - topP) * total) / candidates.count);
  candidates.count = selectMass(ids, candidates.count, weights, topP * total);
  return sumOf(ids, 0, candidates.count, weights);
}

function dropLighter(candidates: Candidates, least: number): void {
  const { ids, weights } = candidates;
  let kept = 0;
  for (let place = 0; place < candidates.count; place += 1) {
    const id = ids[place] as number;
    if ((weights[id] as number) < least) continue;
    ids[kept] = id;
    kept += 1;
  }
  candidates.count = kept;
}
