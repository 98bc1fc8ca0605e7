/** Tokens of a sequence that a verify step computes: few numbers, so that a steady load builds no graph. */
export const verifyWidths = [2, 3, 4, 6, 8, 12, 16, 24, 32] as const;

/** A verify step must promise this much more than a plain one: its cost is estimated, and a loss is worse than a missed gain. */
const margin = 1.05;

/** The width of the verify step for the longest of its drafts; 1 for none. */
export function widthFor(draftLength: number): number {
  return draftLength === 0 ? 1 : (verifyWidths.find((width) => width > draftLength) ?? (verifyWidths.at(-1) as number));
}

/**
 * How many tokens a step computes of each sequence, 1 for a plain step: the width with the most expected tokens for its
 * cost. `chances`: for each sequence, the chance of each drafted token to be the one when all before it were. `costOf(width)`: what a
 * step of that width costs, in any unit; not finite where that is not known. At most `widthMax`, and such a width that the step
 * costs at most `riskMax` plain steps more than one.
 */
export function chooseWidth(
  chances: readonly ArrayLike<number>[],
  costOf: (width: number) => number,
  { widthMax, riskMax }: { readonly widthMax: number; readonly riskMax: number },
): number {
  const longest = Math.max(0, ...chances.map(({ length }) => length));
  const plainCost = costOf(1);
  // A step of no known cost is one whose sums are not those of larger steps: verifying could change the answer.
  if (!Number.isFinite(plainCost) || longest === 0) return 1;
  let best = 1;
  let bestSpeed = (chances.length / plainCost) * margin;
  for (const width of verifyWidths) {
    if (width > widthMax) break;
    const cost = costOf(width);
    if (cost > plainCost * (1 + riskMax)) break;
    const speed = chances.reduce((sum, rates) => sum + expectedTokens(rates, width - 1), 0) / cost;
    if (speed > bestSpeed) [best, bestSpeed] = [width, speed];
    if (width > longest) break;
  }
  return best;
}

/** One token, and each drafted one when all before it were right (Leviathan et al. 2023, with a chance for each). */
function expectedTokens(rates: ArrayLike<number>, length: number): number {
  let expected = 1;
  let survival = 1;
  for (let index = 0; index < Math.min(length, rates.length); index += 1) {
    survival *= rates[index] as number;
    expected += survival;
  }
  return expected;
}
