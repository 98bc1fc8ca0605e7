/** Tokens still in the running, with their unnormalised probabilities. Scratch memory, shared by all samplers of a size. */
export interface Candidates {
  /** Ids of the first `count` tokens. */
  readonly ids: Int32Array;
  /** exp((logit − greatest logit) / temperature) of the token at the same place. */
  readonly weights: Float64Array;
  count: number;
}

export function createCandidates(vocabularySize: number): Candidates {
  return { ids: new Int32Array(vocabularySize), weights: new Float64Array(vocabularySize), count: 0 };
}

/**
 * Fills the candidates with every token of probability above zero at this temperature. A token less than 2⁻⁶⁰ times as
 * likely as the likeliest is left out: it would be drawn once in 10¹⁸ times.
 */
export function fillCandidates(candidates: Candidates, logits: Float32Array, temperature: number): void {
  let greatest = -Infinity;
  for (let id = 0; id < logits.length; id += 1) greatest = Math.max(greatest, Number.isNaN(logits[id]) ? -Infinity : (logits[id] as number));
  candidates.count = 0;
  if (greatest === -Infinity) return addCandidate(candidates, 0, 1);
  const floor = greatest - 41.6 * temperature;
  for (let id = 0; id < logits.length; id += 1) {
    const logit = logits[id] as number;
    if (logit >= floor) addCandidate(candidates, id, logit === greatest ? 1 : Math.exp((logit - greatest) / temperature));
  }
}

function addCandidate(candidates: Candidates, id: number, weight: number): void {
  candidates.ids[candidates.count] = id;
  candidates.weights[candidates.count] = weight;
  candidates.count += 1;
}

/** Keeps the `k` likeliest tokens. Linear time on average, by quickselect (Hoare 1961). */
export function keepTopK(candidates: Candidates, k: number): void {
  if (k <= 0 || k >= candidates.count) return;
  selectLikeliest(candidates, 0, candidates.count - 1, k);
  candidates.count = k;
}

/** Keeps tokens at least `fraction` as likely as the likeliest (Nguyen et al. 2024). */
export function keepMinP(candidates: Candidates, fraction: number): void {
  if (fraction <= 0) return;
  let kept = 0;
  for (let place = 0; place < candidates.count; place += 1) {
    if ((candidates.weights[place] as number) < fraction) continue;
    swap(candidates, place, kept);
    kept += 1;
  }
  candidates.count = kept;
}

/**
 * Keeps the smallest set of likeliest tokens that holds `mass` of the probability (nucleus sampling, Holtzman et al. 2020).
 * Selects ever more of the likeliest until they hold it, then sorts only those.
 */
export function keepTopP(candidates: Candidates, mass: number): void {
  if (mass >= 1) return;
  const wanted = mass * totalWeight(candidates);
  for (let size = 64; ; size *= 8) {
    const considered = Math.min(size, candidates.count);
    if (considered < candidates.count) selectLikeliest(candidates, 0, candidates.count - 1, considered);
    if (considered < candidates.count && totalWeight(candidates, considered) < wanted) continue;
    sortLikeliestFirst(candidates, considered);
    candidates.count = countToReach(candidates, wanted, considered);
    return;
  }
}

/** Draws a token in proportion to its weight; `uniform` is in [0, 1). */
export function draw(candidates: Candidates, uniform: number): number {
  let left = uniform * totalWeight(candidates);
  for (let place = 0; place < candidates.count; place += 1) {
    left -= candidates.weights[place] as number;
    if (left < 0) return candidates.ids[place] as number;
  }
  return candidates.ids[candidates.count - 1] as number;
}

function totalWeight({ weights, count }: Candidates, end = count): number {
  let sum = 0;
  for (let place = 0; place < end; place += 1) sum += weights[place] as number;
  return sum;
}

function countToReach({ weights }: Candidates, wanted: number, end: number): number {
  let sum = 0;
  for (let place = 0; place < end; place += 1) {
    sum += weights[place] as number;
    if (sum >= wanted) return place + 1;
  }
  return end;
}

function sortLikeliestFirst(candidates: Candidates, end: number): void {
  const order = Array.from({ length: end }, (_, place) => ({ id: candidates.ids[place] as number, weight: candidates.weights[place] as number }));
  order.sort((a, b) => b.weight - a.weight || a.id - b.id);
  for (const [place, { id, weight }] of order.entries()) {
    candidates.ids[place] = id;
    candidates.weights[place] = weight;
  }
}

/** Likelier first; of equals the lower id, so that the kept set does not depend on the order of the rest. */
function isLikelier({ ids, weights }: Candidates, a: number, weight: number, id: number): boolean {
  const own = weights[a] as number;
  return own > weight || (own === weight && (ids[a] as number) < id);
}

/** Rearranges so that the `count` likeliest of [low, high] stand first. */
function selectLikeliest(candidates: Candidates, low: number, high: number, count: number): void {
  while (low < high) {
    const middle = (low + high) >> 1;
    const weight = candidates.weights[middle] as number;
    const id = candidates.ids[middle] as number;
    swap(candidates, middle, high);
    let boundary = low;
    for (let place = low; place < high; place += 1) {
      if (!isLikelier(candidates, place, weight, id)) continue;
      swap(candidates, place, boundary);
      boundary += 1;
    }
    swap(candidates, boundary, high);
    if (boundary === count || boundary === count - 1) return;
    if (boundary < count) low = boundary + 1;
    else high = boundary - 1;
  }
}

function swap({ ids, weights }: Candidates, a: number, b: number): void {
  const id = ids[a] as number;
  const weight = weights[a] as number;
  ids[a] = ids[b] as number;
  weights[a] = weights[b] as number;
  ids[b] = id;
  weights[b] = weight;
}
