/** What a policy sees of a replica that may be chosen. */
export interface Candidate {
  /** A number of its own, the same in every gateway. */
  readonly id: number;
  /** Its share of the work, relative to the others'; above 0. Less while it is new among them. */
  readonly weight: number;
  /** Requests that it has not finished. */
  readonly outstanding: number;
  /** Requests given to it so far, over its weight: the start tag of fair queueing. It does not fall behind while it cannot be chosen. */
  readonly pass: number;
  /** Peak EWMA of the time to its first part; 0 while nothing is known. */
  readonly latencyMs: number;
  /** How much of the request's prompt it has read lately, 0 … 1; 0 for policies that do not ask for it. */
  readonly prefixMatch: number;
  /** What room its device has for this kind of request, above 0; the same for all without one. Only for policies that ask for it. */
  readonly deviceScore: number;
}

/** What a policy sees of the request. */
export interface Choice {
  /** A hash of what the policy keys by; undefined when the request has no such thing. */
  readonly key: number | undefined;
  /** 0 … 1. */
  readonly random: () => number;
}

/** Chooses one of at least one candidate, and returns its index. Pure: what it needs to know is in its arguments. */
export interface BalancePolicy {
  readonly choose: (candidates: readonly Candidate[], choice: Choice) => number;
  /** Where the key comes from: the client's address, or its session (`prompt_cache_key`, else `user`). */
  readonly keyedBy?: 'address' | 'session';
  readonly usesPrefix?: boolean;
  readonly usesDevices?: boolean;
}

/** The index of the candidate that comes first by `compare`; of equals the first. */
export function first(candidates: readonly Candidate[], compare: (a: Candidate, b: Candidate) => number): number {
  let best = 0;
  for (let index = 1; index < candidates.length; index += 1) {
    if (compare(candidates[index] as Candidate, candidates[best] as Candidate) < 0) best = index;
  }
  return best;
}

/** Unfinished requests for its weight, with the new one. */
export function loadOf({ outstanding, weight }: Candidate): number {
  return (outstanding + 1) / weight;
}
