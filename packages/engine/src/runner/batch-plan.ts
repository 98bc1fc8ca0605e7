/**
 * A way to multiply the columns of a step, one for each token, with a weight matrix. All give the same sums, bit by bit.
 * `together`: one product, by kernels made for many columns. `staged`: the same after the matrix was copied to memory that
 * the caches keep. `apart`: a product for each column, by the kernel made for one.
 */
export type ProductWay = 'together' | 'staged' | 'apart';

/** What products cost on this processor, by way and number of columns, in any unit of time; measured at some numbers only. */
export interface ProductCosts extends Readonly<Record<ProductWay, ReadonlyMap<number, number>>> {
  /**
   * Of ggml's own way, for every number of columns up to the largest measured that it gives other sums than a full batch: the ways do not
   * have these.
   */
  readonly unlike: ReadonlyMap<number, number>;
}

/** How to multiply each number of columns. */
export interface ColumnPlans {
  readonly wayOf: (columns: number) => ProductWay;
  /** Columns to compute when so many are wanted: more, when a full tile costs less than a part of one. */
  readonly padded: (columns: number) => number;
  /**
   * What a step's products cost with so many columns, against other numbers of them. Those of decodes are padded, those of drafts are not,
   * and may then be unlike: not finite.
   */
  readonly costOf: (columns: number, isPadded: boolean) => number;
}

/** All together, and none beside those wanted: as ggml has it. */
export const unplanned: ColumnPlans = { wayOf: () => 'together', padded: (columns) => columns, costOf: (columns) => columns };

/** Of a batch that is padded, attention, norms and sampling grow too; a smaller gain than this is none. */
const gainToPad = 0.95;
/** Beyond, a product computes for so long on what it read that the way to memory does not matter. */
const stagedMax = 256;
/**
 * A lone sequence computes so many columns for sums that do not depend on its company: two with f16, bf16 and f32 weights. With Q4_K it
 * would be four, of 4.7 times its time, and eight with IQ2_XXS: it has its own sums then, and no other number of columns pays for what
 * does not hold anyway. By number and not by time, which a noisy machine tells anew at each start.
 */
const equalityColumnsMax = 2;
const ways: readonly ProductWay[] = ['together', 'staged', 'apart'];

/**
 * Chooses the cheapest way for every number of columns up to the largest measured, and up to `paddedMax` whether to compute some
 * columns that nobody wants. A number of columns whose sums are unlike is padded where a lone sequence can have equal ones; `costOf` is
 * infinite for what has sums of its own. The tiled kernels read four rows at a time, which hardware prefetchers follow badly once the
 * weights do not fit into the caches: two columns can cost four times as much as one.
 */
export function planColumns(costs: ProductCosts, paddedMax: number): ColumnPlans {
  if (costs.together.size === 0) return unplanned;
  const measuredMax = Math.max(...costs.together.keys());
  const costOf = (columns: number, way: ProductWay) =>
    way === 'together' && costs.unlike.has(columns) ? Infinity : interpolate(costs[way], columns);
  const cheapest = Array.from({ length: measuredMax + 1 }, (_, columns) =>
    ways.reduce((a, b) => (costOf(columns, b) < costOf(columns, a) ? b : a)),
  );
  const wayOf = (columns: number) => cheapest[columns] ?? (columns <= stagedMax ? (cheapest[measuredMax] as ProductWay) : 'together');
  const isLoneAlike = Array.from({ length: equalityColumnsMax }, (_, more) => costOf(1 + more, wayOf(1 + more))).some(Number.isFinite);
  const unlikeCostOf = (columns: number) => (isLoneAlike ? Infinity : interpolate(costs.unlike, columns));
  const pad = (columns: number): number => {
    const own = costOf(columns, wayOf(columns));
    let best = { columns, cost: (own === Infinity ? unlikeCostOf(columns) : own) * gainToPad };
    for (let padded = columns + 1; padded <= Math.min(paddedMax, measuredMax); padded += 1) {
      const cost = costOf(padded, wayOf(padded));
      if (cost < best.cost) best = { columns: padded, cost };
    }
    return best.columns;
  };
  const padded = Array.from({ length: paddedMax + 1 }, (_, columns) => (columns < 1 ? columns : pad(columns)));
  return {
    wayOf,
    padded: (columns) => padded[columns] ?? columns,
    costOf(columns, isPadded) {
      const computed = isPadded ? (padded[columns] ?? columns) : columns;
      if (computed > measuredMax)
        return costs.unlike.has(computed) ? Infinity : (costOf(measuredMax, wayOf(measuredMax)) * computed) / measuredMax;
      return costOf(computed, wayOf(computed));
    },
  };
}

/** Between the measured neighbours; infinite outside of what was measured. */
function interpolate(points: ReadonlyMap<number, number>, at: number): number {
  const known = points.get(at);
  if (known !== undefined) return known;
  const below = Math.max(...[...points.keys()].filter((key) => key < at));
  const above = Math.min(...[...points.keys()].filter((key) => key > at));
  const [low, high] = [points.get(below), points.get(above)];
  if (low === undefined || high === undefined) return Infinity;
  return low + ((high - low) * (at - below)) / (above - below);
}
