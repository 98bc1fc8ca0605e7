/** A session as it is kept. */
export interface SessionRecord {
  /** A chat body, as JSON. */
  readonly body: string;
  /** Another one after each change, and never one that any session had before: what an `ETag` says. */
  readonly revision: string;
  /** Milliseconds since 1970. */
  readonly createdAtMs: number;
}

export type SessionReplaced =
  | { readonly kind: 'replaced'; readonly revision: string }
  | { readonly kind: 'changed' }
  | { readonly kind: 'absent' };
export type SessionRemoved = 'removed' | 'changed' | 'absent';

/** What a session is counted with beside its body, about what it takes. */
export const overheadBytes = 512;

/** What every store keeps to. */
export interface SessionLimits {
  /** Since a session was last used; then it is gone. */
  readonly ttlMs: number;
  /** A tenant that has so many is refused another one. */
  readonly perTenantMax: number;
  /** Beyond these, of those of the key that has most the session used longest ago gives way. */
  readonly sessionsMax: number;
  readonly bytesMax: number;
}

/** Where the time and names come from. */
export interface SessionSources {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** A new revision. */
  readonly newRevision: () => string;
}

/**
 * Keeps sessions. A session is its tenant's: to every other tenant it is absent. Each method counts as use of the session but `remove`.
 * All reject with `session_store_unavailable` where the store cannot be asked: a context cannot be guessed.
 */
export interface SessionStore {
  /** Rejects with `session_limit_exceeded` when the tenant has too many. */
  create(tenant: string, id: string, body: string): Promise<SessionRecord>;
  /** Undefined: there is none, or it has expired, or it gave way to others. */
  read(tenant: string, id: string): Promise<SessionRecord | undefined>;
  /** Puts another body in the place of this revision's: of several at once, one succeeds. */
  replace(tenant: string, id: string, revision: string, body: string): Promise<SessionReplaced>;
  /** Undefined: whatever its revision is. */
  remove(tenant: string, id: string, revision: string | undefined): Promise<SessionRemoved>;
  close(): Promise<void>;
}
