/** The value below which a share `q` of the values lies, linear between neighbours. NaN for no values. */
export function quantile(values: readonly number[], q: number): number {
  return quantileOfSorted(toSorted(values), q);
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** In ascending order; typed arrays sort by number, and several times faster. */
export function toSorted(values: Iterable<number>): Float64Array {
  return Float64Array.from(values).sort();
}

/** The same for values that are sorted already. */
export function quantileOfSorted(sorted: ArrayLike<number>, q: number): number {
  const place = (sorted.length - 1) * q;
  const below = sorted[Math.floor(place)] ?? NaN;
  const above = sorted[Math.ceil(place)] ?? NaN;
  return between(below, above, place);
}

/**
 * The quantile of sorted values of which element i occurs `weights[i]` times, a whole number. A resampled quantile is then
 * one pass over values that were sorted once, instead of a sort.
 */
export function quantileOfWeighted(sorted: ArrayLike<number>, weights: ArrayLike<number>, q: number): number {
  let total = 0;
  for (let index = 0; index < sorted.length; index += 1) total += weights[index] as number;
  const place = (total - 1) * q;
  const floor = Math.floor(place);
  let passed = 0;
  let below = NaN;
  for (let index = 0; index < sorted.length; index += 1) {
    passed += weights[index] as number;
    if (passed <= floor) continue;
    if (Number.isNaN(below)) below = sorted[index] as number;
    if (passed > Math.ceil(place)) return between(below, sorted[index] as number, place);
  }
  return NaN;
}

/** Neighbours that are equal, infinities among them, are not interpolated: ∞ − ∞ is not a number. */
function between(below: number, above: number, place: number): number {
  return below === above ? below : below + (above - below) * (place - Math.floor(place));
}
