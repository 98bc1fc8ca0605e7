import { AutoglmError } from '@open-autoglm/protocol';
import type { SessionLimits } from './session-store.ts';

export function tooManySessions({ perTenantMax, ttlMs }: SessionLimits): AutoglmError {
  return new AutoglmError(
    'session_limit_exceeded',
    `There are ${perTenantMax} sessions already, which is the most (sessions.per_tenant_max): delete those that have ended; one that is not used for ${Math.ceil(ttlMs / 1000)} s ends by itself.`,
    { retryAfterSeconds: 60 },
  );
}

/** Whether it never was, has expired or is somebody else's is not told: the three look alike from outside. */
export function sessionNotFound(id: string): AutoglmError {
  return new AutoglmError(
    'session_not_found',
    `There is no session ${JSON.stringify(id)}: it has expired, gave way to others or never was. Create it anew with all of its messages.`,
  );
}

export function sessionChanged(id: string): AutoglmError {
  return new AutoglmError(
    'precondition_failed',
    `The session ${JSON.stringify(id)} is not in the state that If-Match names: a patch was lost, came late, or somebody else has changed it. Read the session and try again.`,
    { param: 'if-match' },
  );
}

export function ifMatchMissing(): AutoglmError {
  return new AutoglmError(
    'precondition_required',
    'A session is changed only from a state that the client knows: send the ETag of the last answer as If-Match.',
    { param: 'if-match' },
  );
}

export function sessionTooLarge(sizeBytes: number, sizeBytesMax: number): AutoglmError {
  return new AutoglmError(
    'payload_too_large',
    `The session would have ${sizeBytes} bytes, and ${sizeBytesMax} is the most (sessions.session_bytes_max).`,
  );
}
