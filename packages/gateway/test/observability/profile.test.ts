import type { GatewayEvent } from '@open-autoglm/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RequestProfile } from '../../src/observability/profile/request-profile.ts';
import { addRest, formatServerTiming, segmentOrder, toFields } from '../../src/observability/profile/segment-times.ts';
import { anyRequest, start } from './events.ts';

function profileOf(events: readonly GatewayEvent[], nowMs = start.startedAtMs + 1000): RequestProfile {
  const profile = new RequestProfile(start, () => nowMs);
  for (const event of events) profile.on(event, nowMs);
  return profile;
}

const engine = (choice: number, queue: number, prefill: number, decode: number): GatewayEvent[] => [
  { type: 'segment-end', segment: 'queue', durationMs: queue, choice },
  { type: 'segment-end', segment: 'prefill', durationMs: prefill, choice },
  { type: 'prompt-end', choice, promptTokens: 20, cachedTokens: 5 },
  { type: 'segment-end', segment: 'decode', durationMs: decode, choice },
  { type: 'choice-end', choice, finishReason: 'stop', completionTokens: 10 },
];

const sumOf = (times: Partial<Record<string, number>>) =>
  Object.entries(times).reduce((sum, [segment, ms]) => sum + (segment === 'total' ? 0 : (ms ?? 0)), 0);

describe('the split of a request’s time', () => {
  it('adds up to the total wherever no more than the total is claimed, and never goes below zero', () => {
    fc.assert(
      fc.property(anyRequest, fc.double({ min: 0, max: 1e6, noNaN: true }), (events, tookMs) => {
        const times = profileOf(events, start.startedAtMs + tookMs).times();
        const total = times.total as number;
        expect(total).toBeCloseTo(tookMs, 6);
        for (const segment of segmentOrder) expect(times[segment] ?? 0).toBeGreaterThanOrEqual(0);
        const claimed = sumOf(times) - (times.other as number);
        expect(sumOf(times)).toBeCloseTo(Math.max(total, claimed), 6);
      }),
    );
  });

  it('adds up what one stage says several times, by what it was spent on', () => {
    const profile = profileOf([
      { type: 'segment-end', segment: 'input', durationMs: 3, reason: 'body' },
      { type: 'segment-end', segment: 'input', durationMs: 4, reason: 'model' },
      { type: 'segment-end', segment: 'output', durationMs: 1, reason: 'client' },
      { type: 'segment-end', segment: 'output', durationMs: 2, reason: 'client' },
    ]);
    expect(profile.times()).toEqual({ input: 7, output: 3, other: 990, total: 1000 });
    expect(profile.spentOn('input', 'model')).toBe(4);
    expect(profile.spentOn('output', 'client')).toBe(3);
    expect(profile.spentOn('output', 'encode')).toBe(0);
  });

  it('takes the slowest of several choices, and counts a prompt once and every answer', () => {
    const profile = profileOf([
      { type: 'request-parsed', model: 'm', stream: true, maxTokens: 10, choiceCount: 2 },
      ...engine(0, 1, 20, 300),
      ...engine(1, 100, 20, 310),
      ...engine(2, 0, 20, 300),
      ...engine(3, 2, 20, 300),
    ]);
    expect(profile.times()).toMatchObject({ queue: 100, prefill: 20, decode: 310, other: 570, total: 1000 });
    expect([profile.promptTokens, profile.cachedTokens, profile.completionTokens]).toEqual([40, 10, 40]);
  });

  it('stands still at the end', () => {
    let nowMs = start.startedAtMs;
    const profile = new RequestProfile(start, () => nowMs);
    profile.on({ type: 'request-end', outcome: 'answered', status: 200 }, start.startedAtMs + 50);
    nowMs += 10_000;
    expect(profile.times()).toEqual({ other: 50, total: 50 });
    expect(profile.fields()).toEqual({ other_ms: 50, total_ms: 50 });
    expect(profile.header()).toBe('other;dur=50.00, total;dur=50.00');
  });

  it('notes the first token once', () => {
    const profile = new RequestProfile(start, () => 0);
    profile.on({ type: 'first-token' }, 1010);
    profile.on({ type: 'first-token' }, 1020);
    expect(profile.firstTokenAtMs).toBe(1010);
  });
});

describe('Server-Timing', () => {
  it('is a valid header, in the order in which a request passes its segments', () => {
    const times = addRest({ output: 1, input: 2.346, upstream: 12 }, 20);
    expect(formatServerTiming(times)).toBe('input;dur=2.35, upstream;dur=12.00, output;dur=1.00, other;dur=4.65, total;dur=20.00');
  });

  it('writes figures as toFixed does, and JSON to the microsecond', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e9, noNaN: true }), (ms) => {
        expect(Math.abs(Number(/dur=(\d+\.\d\d)$/.exec(formatServerTiming({ total: ms }))?.[1]) - ms)).toBeLessThanOrEqual(0.005001);
        expect(Math.abs((toFields({ total: ms })['total_ms'] as number) - ms)).toBeLessThanOrEqual(0.000501);
      }),
    );
    expect(formatServerTiming({ total: 0.999 })).toBe('total;dur=1.00');
    expect(formatServerTiming({ total: 12.034 })).toBe('total;dur=12.03');
  });
});
