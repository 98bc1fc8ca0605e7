import type { Segment } from '@open-autoglm/protocol';

/** A `segment-end` and when it was stated. */
export interface SegmentFact {
  readonly segment: Segment;
  readonly durationMs: number;
  readonly endedAtMs: number;
  readonly reason: string | undefined;
  readonly choice: number | undefined;
}

export interface PlacedSegment {
  readonly fact: SegmentFact;
  readonly fromMs: number;
  readonly toMs: number;
}

/**
 * When segments began and ended. One of the request as a whole ended when it was stated. Those of a choice follow one another,
 * and the engine tells of several at once: each ends, at the latest, where the one told after it began. Nothing begins before
 * the request.
 */
export function placeSegments(facts: readonly SegmentFact[], startedAtMs: number): PlacedSegment[] {
  const nextBegins = new Map<number, number>();
  const placed: PlacedSegment[] = [];
  for (const fact of facts.toReversed()) {
    const limitMs = fact.choice === undefined ? Infinity : (nextBegins.get(fact.choice) ?? Infinity);
    const toMs = Math.max(startedAtMs, Math.min(fact.endedAtMs, limitMs));
    const fromMs = Math.max(startedAtMs, toMs - fact.durationMs);
    if (fact.choice !== undefined) nextBegins.set(fact.choice, fromMs);
    placed.push({ fact, fromMs, toMs });
  }
  return placed.toReversed();
}
