import type { RequestOutcome } from '../outcome.ts';
import type { ServiceLevelObjective } from '../result.ts';

/** The latencies of a request: to its first token, between its tokens, to its end. All but the second count from when it was due. */
export const latencyNames = ['ttft', 'tpot', 'e2e'] as const;
export type LatencyName = (typeof latencyNames)[number];

/** Milliseconds. Undefined where there is none: no text came, or a single token, between which and the next there is no time. */
export function latencyOf({ dueAtMs, firstTokenAtMs, endedAtMs, outputTokens }: RequestOutcome, name: LatencyName): number | undefined {
  if (name === 'e2e') return endedAtMs - dueAtMs;
  if (firstTokenAtMs === undefined) return undefined;
  if (name === 'ttft') return firstTokenAtMs - dueAtMs;
  return outputTokens > 1 ? (endedAtMs - firstTokenAtMs) / (outputTokens - 1) : undefined;
}

export function latenciesOf(outcomes: readonly RequestOutcome[], name: LatencyName): number[] {
  return outcomes.map((outcome) => latencyOf(outcome, name)).filter((value) => value !== undefined);
}

export function objectiveOf(slo: ServiceLevelObjective | undefined, name: LatencyName): number | undefined {
  return slo && { ttft: slo.ttftMs, tpot: slo.tpotMs, e2e: slo.e2eMs }[name];
}

/** Whether a request was answered, and in time. What it has no value for, it does not miss. */
export function isGood(outcome: RequestOutcome, slo: ServiceLevelObjective | undefined): boolean {
  return outcome.outcome === 'answered' && latencyNames.every((name) => !misses(outcome, name, slo));
}

export function misses(outcome: RequestOutcome, name: LatencyName, slo: ServiceLevelObjective | undefined): boolean {
  return (latencyOf(outcome, name) ?? -Infinity) > (objectiveOf(slo, name) ?? Infinity);
}

/** When a slice of the trace began and ended for the target of these outcomes, in milliseconds. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** By slice: from the first request that was due to the last end. */
export function spansOf(outcomes: readonly RequestOutcome[]): Map<number, Span> {
  const spans = new Map<number, Span>();
  for (const { slice, dueAtMs, endedAtMs } of outcomes) {
    const span = spans.get(slice);
    spans.set(slice, { fromMs: Math.min(span?.fromMs ?? Infinity, dueAtMs), toMs: Math.max(span?.toMs ?? -Infinity, dueAtMs, endedAtMs) });
  }
  return spans;
}

/** Seconds in which the target of these outcomes had requests due or running: two targets have their slices in turn. */
export function activeSecondsOf(outcomes: readonly RequestOutcome[]): number {
  return [...spansOf(outcomes).values()].reduce((sum, { fromMs, toMs }) => sum + (toMs - fromMs) / 1000, 0);
}
