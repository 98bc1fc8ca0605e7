/** What a policy sees of a replica that may be chosen. */
export interface Candidate {
  /** Its share of the work, relative to the others'; above 0. */
  readonly weight: number;
  /** Requests that it has not finished. */
  readonly outstanding: number;
  /** Requests given to it so far, over its weight: the start tag of fair queueing. It does not fall behind while it cannot be chosen. */
  readonly pass: number;
}

/** Chooses one of at least one candidate, and returns its index. Pure: what it needs to know is in the candidates. */
export type BalancePolicy = (candidates: readonly Candidate[]) => number;

/** The index of the candidate that comes first by `compare`; of equals the first. */
export function first(candidates: readonly Candidate[], compare: (a: Candidate, b: Candidate) => number): number {
  return candidates.reduce((best, candidate, index) => (compare(candidate, candidates[best] as Candidate) < 0 ? index : best), 0);
}
