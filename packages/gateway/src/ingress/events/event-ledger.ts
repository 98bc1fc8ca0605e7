/** Events of one name, added up by the client that counted them. */
export interface EventSum {
  readonly name: string;
  readonly count: number;
  /** Of the values that they were tracked with. */
  readonly sum: number;
}

/** What a client sends at once; its next batch has a higher number. */
export interface EventBatch {
  readonly sequence: number;
  readonly events: readonly EventSum[];
}

export interface LedgerLimits {
  readonly namesMax: number;
  /** Clients remembered at once; beyond them who was heard from longest ago is forgotten. */
  readonly clientsMax: number;
  /** Since a client was last heard from. */
  readonly clientTtlMs: number;
}

export interface Accepted {
  readonly accepted: number;
  /** Batches that had been counted before. */
  readonly duplicates: number;
}

/** Where names beyond the bound are counted. */
export const otherName = 'other';

/**
 * Counts each batch of a client once. A client sends its batches in order, and the next request only when the last was answered, so its
 * highest number says which have been counted: one number a client is remembered, however long the connection was away. A batch is
 * counted in the step that remembers it.
 */
export interface EventLedger {
  /** Batches in ascending order. Rejects with `event_store_unavailable`: nothing is known then, and the client sends them again. */
  add(tenant: string, client: string, batches: readonly EventBatch[]): Promise<Accepted>;
  /** All that was ever counted, by name. Rejects as `add` does. */
  totals(): Promise<readonly EventSum[]>;
  close(): Promise<void>;
}
