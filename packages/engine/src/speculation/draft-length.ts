/** One sequence of the batch, as far as the length of its draft goes. */
export interface DraftChance {
  /** Tokens drafted. */
  readonly available: number;
  /** The chance that a drafted token is the one, when all before it were. */
  readonly rate: number;
}

/** A verify pass must promise this much more than a plain step: its cost is estimated, and a loss is worse than a missed gain. */
const margin = 1.1;

/**
 * How many drafted tokens a step should verify for each sequence, 0 for a plain step: the number with the most expected
 * tokens for its cost. `costOf(columns)`: what a step costs that computes so many tokens, in any unit; not finite where that is
 * not known. Every sequence gets as many columns as the one with the longest draft, at most `columnsMax` in all.
 */
export function chooseDraftLength(chances: readonly DraftChance[], costOf: (columns: number) => number, columnsMax: number): number {
  const longest = Math.max(0, ...chances.map(({ available }) => available));
  const plainCost = costOf(chances.length);
  // A step of no known cost is one whose sums are not those of larger steps: verifying could change the answer.
  if (!Number.isFinite(plainCost)) return 0;
  let best = 0;
  let bestSpeed = (chances.length / plainCost) * margin;
  for (let length = 1; length <= longest; length += 1) {
    const columns = chances.length * (length + 1);
    if (columns > columnsMax) break;
    const speed = chances.reduce((sum, chance) => sum + expectedTokens(chance, length), 0) / costOf(columns);
    if (speed > bestSpeed) [best, bestSpeed] = [length, speed];
  }
  return best;
}

/** One token, and each drafted one when all before it were right (Leviathan et al. 2023, equation 1). */
function expectedTokens({ available, rate }: DraftChance, length: number): number {
  const drafted = Math.min(available, length);
  return rate === 1 ? drafted + 1 : (1 - rate ** (drafted + 1)) / (1 - rate);
}
