import { verifyWidths, type LoadedModel } from '@open-autoglm/engine/core';

/** The fastest of some counts, since other programs may want the cores. */
const rounds = 8;
const sequence = 'perfect drafts';

/** Plain steps and those that verify. */
export const stepWidths: readonly number[] = [1, ...verifyWidths];

/**
 * Milliseconds of a step of one sequence by the tokens that it computes, all widths in turn, after `depth` tokens. `settle`: before each
 * turn. Nothing else may use the model meanwhile.
 */
export async function measureSteps(
  { runner, cache }: LoadedModel,
  depth: number,
  settle: () => Promise<void>,
): Promise<ReadonlyMap<number, number>> {
  const tokens = new Int32Array(depth + Math.max(...stepWidths));
  if (cache.acquire({ sequence, tokens, promptLength: tokens.length, scope: sequence, spareTokens: 0 }) === undefined)
    throw new Error('the cache has no room for the steps that are measured');
  try {
    cache.arrange([sequence], () => depth);
    const at = Int32Array.of(depth);
    const compute = (width: number) =>
      width === 1 ? runner.decode(tokens.subarray(0, 1), at) : runner.verify(tokens.subarray(0, width), at, width);
    // A shape's first step builds its graph.
    for (const width of stepWidths) compute(width);
    const fastest = new Map(stepWidths.map((width) => [width, Infinity]));
    for (let round = 0; round < rounds; round += 1) {
      await settle();
      for (const width of stepWidths) {
        const since = performance.now();
        compute(width);
        fastest.set(width, Math.min(fastest.get(width) as number, performance.now() - since));
      }
    }
    return fastest;
  } finally {
    cache.release(sequence);
  }
}

/**
 * How many times faster than by plain steps so many tokens are made when every draft is right, and each step has the width that makes them
 * soonest: no drafter does better. `costs`: of steps by width.
 */
export function speedOfPerfectDrafts(tokens: number, costs: ReadonlyMap<number, number>): number {
  const soonest = [0];
  for (let count = 1; count <= tokens; count += 1)
    soonest.push(Math.min(...[...costs].map(([width, cost]) => cost + (soonest[Math.max(0, count - width)] as number))));
  return (tokens * (costs.get(1) as number)) / (soonest[tokens] as number);
}
