import { loadOf, type BalancePolicy, type Candidate } from './policy.ts';
import { betterOfTwo } from './two-choices.ts';

/** One that has requests and has never answered may be anything: it waits until it has. */
const unknownMs = 1e6;

/**
 * Of two picked by chance, the one where a request will wait less: peak EWMA of the time to the first part × unfinished
 * requests (Finagle). Sees a replica that is slow without being busy, which counting requests does not.
 */
export const peakEwma: BalancePolicy = { choose: (candidates, choice) => betterOfTwo(candidates, choice, costOf) };

function costOf(candidate: Candidate): number {
  const latencyMs = candidate.latencyMs > 0 ? candidate.latencyMs : candidate.outstanding > 0 ? unknownMs : 0;
  return latencyMs * loadOf(candidate);
}
