/** What somebody waits for, and what can wait: both share one engine, and the second gives way to the first. */
export type Lane = 'realtime' | 'batch';

/** Where a request stands among those that wait for the same engine. Admission decides it; an engine with a queue of its own goes by it. */
export interface Standing {
  readonly lane: Lane;
  /** Those of lower levels go first, and may take the place of one of a higher level that has only begun. */
  readonly level: number;
  /** The order within a level: the smallest goes first, and of equals who came first. */
  readonly rank: number;
  /** Tokens that each answer is likely to have. */
  readonly expectedTokens: number;
}
