/** What batches of a server take, as far as it was seen: sums of a weighted least-squares fit in which old batches fade. */
export interface BatchCosts {
  readonly weight: number;
  readonly items: number;
  readonly itemsSquared: number;
  readonly ms: number;
  readonly itemsMs: number;
}

/** A batch of `n` items takes `fixedMs + n · itemMs`. */
export interface BatchCost {
  readonly fixedMs: number;
  readonly itemMs: number;
}

export const noCosts: BatchCosts = { weight: 0, items: 0, itemsSquared: 0, ms: 0, itemsMs: 0 };

/** After so many batches one counts for a third of what it did: a server's speed changes with who else asks it. */
const memory = 50;
/** About three of them; fewer say nothing. */
const weightMin = 2.5;

export function learn(costs: BatchCosts, items: number, durationMs: number): BatchCosts {
  const kept = 1 - 1 / memory;
  return {
    weight: costs.weight * kept + 1,
    items: costs.items * kept + items,
    itemsSquared: costs.itemsSquared * kept + items * items,
    ms: costs.ms * kept + durationMs,
    itemsMs: costs.itemsMs * kept + items * durationMs,
  };
}

/** Undefined while it is not known. Batches that all had one size cannot tell the two parts apart: then all of it is the items'. */
export function costOf({ weight, items, itemsSquared, ms, itemsMs }: BatchCosts): BatchCost | undefined {
  if (weight < weightMin) return undefined;
  const spread = weight * itemsSquared - items * items;
  const proportional = { fixedMs: 0, itemMs: ms / items };
  if (spread <= 1e-9 * weight * itemsSquared) return proportional;
  const itemMs = (weight * itemsMs - items * ms) / spread;
  const fixedMs = (ms - itemMs * items) / weight;
  // Neither part can cost less than nothing; what noise has made so is the other's.
  if (itemMs < 0) return { fixedMs: ms / weight, itemMs: 0 };
  return fixedMs < 0 ? proportional : { fixedMs, itemMs };
}
