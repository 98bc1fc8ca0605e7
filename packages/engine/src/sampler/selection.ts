/**
 * Quickselect (Hoare 1961) over token ids: puts the likeliest first without sorting the rest, in time linear in `count` on
 * average. `keys` rank tokens, by id; of equal keys the lower id ranks first, so a selection never depends on the order
 * in which the ids stood.
 */

/** Rearranges ids[0, count) so that the `wanted` greatest stand first, the least of them at ids[wanted − 1]. */
export function selectGreatest(ids: Int32Array, count: number, keys: Float32Array, wanted: number): void {
  let low = 0;
  let high = count - 1;
  while (low < high) {
    const pivot = partition(ids, low, high, keys);
    if (pivot === wanted - 1) return;
    if (pivot < wanted) low = pivot + 1;
    else high = pivot - 1;
  }
}

/** Rearranges ids[0, count) so that the fewest of the greatest whose keys add up to `mass` stand first; returns how many, at least 1. */
export function selectMass(ids: Int32Array, count: number, keys: Float32Array, mass: number): number {
  let low = 0;
  let high = count - 1;
  let missing = mass;
  while (low < high) {
    const pivot = partition(ids, low, high, keys);
    const before = sumOf(ids, low, pivot, keys);
    const through = before + (keys[ids[pivot] as number] as number);
    if (before >= missing) {
      high = pivot - 1;
    } else if (through >= missing) {
      return pivot + 1;
    } else {
      missing -= through;
      low = pivot + 1;
    }
  }
  return Math.min(low + 1, count); // rounding may leave a crumb of `mass` that nobody holds
}

/** The keys of ids[start, end) added up. */
export function sumOf(ids: Int32Array, start: number, end: number, keys: Float32Array): number {
  let sum = 0;
  for (let place = start; place < end; place += 1) sum += keys[ids[place] as number] as number;
  return sum;
}

/** Moves one of ids[low, high] to its place in the order, all greater before it and all lesser behind; returns the place. */
function partition(ids: Int32Array, low: number, high: number, keys: Float32Array): number {
  swap(ids, medianOfThree(ids, low, high, keys), high);
  const pivot = ids[high] as number;
  const key = keys[pivot] as number;
  let boundary = low;
  for (let place = low; place < high; place += 1) {
    const id = ids[place] as number;
    const own = keys[id] as number;
    if (own < key || (own === key && id > pivot)) continue;
    ids[place] = ids[boundary] as number;
    ids[boundary] = id;
    boundary += 1;
  }
  swap(ids, boundary, high);
  return boundary;
}

/** Where a likely middle stands: sorted input, the commonest bad case, is then the best one. */
function medianOfThree(ids: Int32Array, low: number, high: number, keys: Float32Array): number {
  const middle = (low + high) >>> 1;
  const [a, b, c] = [keys[ids[low] as number] as number, keys[ids[middle] as number] as number, keys[ids[high] as number] as number];
  if (a < b !== a < c) return low;
  return b < a !== b < c ? middle : high;
}

function swap(ids: Int32Array, a: number, b: number): void {
  const id = ids[a] as number;
  ids[a] = ids[b] as number;
  ids[b] = id;
}
