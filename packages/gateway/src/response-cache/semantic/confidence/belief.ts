/** What is expected of a candidate. */
export interface Belief {
  /** The share of wrong answers, 0 … 1. */
  readonly error: number;
  /** How many checks it rests on; what was believed before any check counts as some. */
  readonly checks: number;
}
