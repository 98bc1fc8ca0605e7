import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { placeSegments, type SegmentFact } from '../../../src/observability/traces/place-segments.ts';

const fact = (segment: SegmentFact['segment'], endedAtMs: number, durationMs: number, choice?: number): SegmentFact => ({
  segment,
  endedAtMs,
  durationMs,
  choice,
  reason: undefined,
});
const times = (facts: readonly SegmentFact[]) => placeSegments(facts, 100).map(({ fromMs, toMs }) => [fromMs, toMs]);

describe('placeSegments', () => {
  it('lays what an engine tells at once end to end, and the rest where it was stated', () => {
    expect(
      times([
        fact('input', 110, 10),
        fact('queue', 160, 20, 0),
        fact('prefill', 160, 30, 0),
        fact('queue', 161, 5, 1),
        fact('prefill', 161, 40, 1),
        fact('decode', 200, 40, 0),
      ]),
    ).toEqual([
      [100, 110],
      [110, 130],
      [130, 160],
      [116, 121],
      [121, 161],
      [160, 200],
    ]);
  });

  it('never leaves the request, nor lets the parts of a choice overlap', () => {
    const segments = fc.array(
      fc.record({
        segment: fc.constantFrom('queue' as const, 'prefill' as const, 'decode' as const),
        gapMs: fc.double({ min: 0, max: 50, noNaN: true }),
        durationMs: fc.double({ min: 0, max: 500, noNaN: true }),
        choice: fc.option(fc.integer({ min: 0, max: 2 }), { nil: undefined }),
      }),
      { maxLength: 20 },
    );
    fc.assert(
      fc.property(segments, (told) => {
        let nowMs = 100;
        const facts = told.map(({ segment, gapMs, durationMs, choice }) => fact(segment, (nowMs += gapMs), durationMs, choice));
        const placed = placeSegments(facts, 100);
        expect(placed.map((one) => one.fact)).toEqual(facts);
        const lastEnd = new Map<number, number>();
        for (const {
          fact: { choice, endedAtMs, durationMs },
          fromMs,
          toMs,
        } of placed) {
          expect(fromMs).toBeGreaterThanOrEqual(100);
          expect(toMs).toBeGreaterThanOrEqual(fromMs);
          expect(toMs).toBeLessThanOrEqual(endedAtMs);
          expect(toMs - fromMs).toBeLessThanOrEqual(durationMs + 1e-9);
          if (choice === undefined) continue;
          expect(fromMs).toBeGreaterThanOrEqual(lastEnd.get(choice) ?? 0);
          lastEnd.set(choice, toMs);
        }
      }),
    );
  });
});
