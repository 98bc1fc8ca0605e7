import type { Judgement } from './judge.ts';

const order = { required: 4, cited: 3, recent: 2, other: 1, repeated: 0 } as const;

/**
 * Which units stay within a budget of tokens: all that are required, then the others by standing and score while there is room. One that is
 * too large for what is left is passed over for smaller ones of its own standing and below.
 */
export function select(judgements: readonly Judgement[], tokens: readonly number[], budget: number): ReadonlySet<number> {
  const kept = new Set<number>();
  let left = budget;
  for (const [index, { standing }] of judgements.entries()) {
    if (standing !== 'required') continue;
    kept.add(index);
    left -= tokens[index] ?? 0;
  }
  const rest = judgements.flatMap((judgement, index) => (judgement.standing === 'required' ? [] : [{ index, ...judgement }]));
  rest.sort((a, b) => order[b.standing] - order[a.standing] || b.score - a.score || b.index - a.index);
  for (const { index } of rest) {
    const cost = tokens[index] ?? 0;
    if (cost > left) continue;
    kept.add(index);
    left -= cost;
  }
  return kept;
}
