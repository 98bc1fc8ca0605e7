import type { AutoglmError, ErrorCode } from '@open-autoglm/protocol';
import type { Outcome } from '../common/breaker.ts';

/** Failures of the replica; whatever else it says is an answer. */
const outcomes: Partial<Record<ErrorCode, Outcome>> = {
  upstream_unreachable: 'unreachable',
  upstream_connect_timeout: 'unreachable',
  upstream_error: 'failed',
  upstream_timeout: 'failed',
  engine_crashed: 'failed',
  engine_failed: 'failed',
  engine_unavailable: 'failed',
  internal_error: 'failed',
};

export function outcomeOf({ code }: AutoglmError): Outcome {
  return outcomes[code] ?? 'answered';
}
