import type { Rate } from './token-bucket.ts';

/** What a request takes from one bucket. */
export interface Claim {
  readonly bucket: string;
  readonly rate: Rate;
  readonly cost: number;
}

export interface Decision {
  /** 0: it was taken from every bucket. Else from none, and this is how long until it could be, in milliseconds. */
  readonly waitMs: number;
  /** What is in each bucket afterwards, in the order of the claims. */
  readonly used: readonly number[];
  /** Who decided: `fallback` is this gateway alone, while Redis does not answer. */
  readonly source: 'memory' | 'redis' | 'fallback';
}

/** Where the buckets are. Its contract suite is `test/limits/limit-store.contract.ts`. */
export interface LimitStore {
  /** Takes from all buckets or from none; `share` is how much of each bucket this caller may fill. Never rejects. */
  take(claims: readonly Claim[], share: number): Decision | Promise<Decision>;
  /** Puts in what was used beyond the charge, or takes out (a negative cost) what was not used. Nobody waits for it. */
  correct(claims: readonly Claim[], decidedBy: Decision['source']): void;
  close(): Promise<void>;
}
