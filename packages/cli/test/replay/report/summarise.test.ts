import { createRandom } from '@open-autoglm/statistics';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RequestOutcome } from '../../../src/replay/outcome.ts';
import { summarise } from '../../../src/replay/report/index.ts';
import type { CompareSummary, ReplaySummary, TargetSummary } from '../../../src/replay/summary.ts';
import { comparisonOf, failure, machine, outcome, resultOf, twoTargets } from './results.ts';

const single = (...given: Parameters<typeof resultOf>) => summarise(resultOf(...given), machine) as ReplaySummary & TargetSummary;
const compared = (...given: Parameters<typeof comparisonOf>) =>
  summarise(comparisonOf(...given), machine) as ReplaySummary & CompareSummary;
const lineOf = ({ comparison }: CompareSummary, figure: string) => comparison.find((line) => line.figure === figure);

describe('the summary of a replay', () => {
  it('counts latencies from when a request was due, and TPOT between tokens', () => {
    const { ttft_ms, tpot_ms, e2e_ms } = single([outcome({ sentAtMs: 1080 })]);
    expect(ttft_ms).toEqual({ p50: 100, p90: 100, p95: 100, p99: 100, mean: 100, max: 100, count: 1 });
    expect(tpot_ms?.p50).toBe(50);
    expect(e2e_ms?.p50).toBe(600);
  });

  it('has percentiles of answered requests alone', () => {
    const answers = Array.from({ length: 101 }, (_, index) => outcome({ firstTokenAtMs: 1000 + index }));
    const slow = failure('cut', 'connection reset', { firstTokenAtMs: 900_000 });
    expect(single([...answers, slow]).ttft_ms).toMatchObject({ p50: 50, p90: 90, p95: 95, p99: 99, max: 100, mean: 50, count: 101 });
  });

  it('takes goodput over the whole run, and attainment over all that were due', () => {
    const outcomes = [
      outcome(),
      outcome({ firstTokenAtMs: 1300 }),
      outcome({ endedAtMs: 3000 }),
      failure('refused', 'full', { status: 429 }),
    ];
    const summary = single(outcomes, { options: { ...resultOf([]).options, slo: { ttftMs: 200, tpotMs: 60 } } });
    expect(summary).toMatchObject({
      goodput_rps: 0.1,
      answered_rps: 0.3,
      slo_attainment: 0.25,
      slo_misses: { ttft_ms: 1, tpot_ms: 1, e2e_ms: 0 },
    });
    expect(single(outcomes)).toMatchObject({ goodput_rps: 0.3 });
    expect(single(outcomes)).not.toHaveProperty('slo_attainment');
  });

  it('an answer of one token has no TPOT, and does not miss it', () => {
    const summary = single([outcome({ outputTokens: 1 })], { options: { ...resultOf([]).options, slo: { tpotMs: 1 } } });
    expect(summary.tpot_ms).toBeNull();
    expect(summary.slo_attainment).toBe(1);
  });

  it('counts errors by kind and by cause, the most frequent first, and bounds their number', () => {
    const resets = [1, 2, 3].map(() => failure('cut', 'connection reset'));
    const full = [1, 2].map(() => failure('refused', 'queue is full', { status: 429 }));
    expect(single([...full, ...resets, outcome()])).toMatchObject({
      outcomes: { answered: 1, refused: 2, cut: 3, failed: 0, 'timed-out': 0, abandoned: 0 },
      errors: [
        { outcome: 'cut', error: 'connection reset', count: 3 },
        { outcome: 'refused', status: 429, error: 'queue is full', count: 2 },
      ],
    });
    const many = single(Array.from({ length: 5000 }, (_, index) => failure('failed', `request ${index}`)));
    expect(many.errors).toHaveLength(20);
    expect(many.other_errors).toBe(4980);
  });

  it('tells tokens, what was cached, right answers and the segments of the server', () => {
    const timings = { queue_ms: 5, prefill: 20 };
    expect(single([outcome({ answerCorrect: true, timings }), outcome({ answerCorrect: false, timings })])).toMatchObject({
      output_tokens_per_second: 2.2,
      prompt_tokens_per_second: 10,
      cached_share: 0.2,
      answers: { checked: 2, correct: 1 },
      segments_ms: { queue: { p50: 5, count: 2 }, prefill: { p99: 20 } },
    });
  });

  it.each([
    ['no outcome at all', []],
    ['only errors', [failure('failed', 'no connection'), failure('abandoned', 'never sent')]],
  ])('of %s is whole', (_, outcomes) => {
    const summary = single(outcomes, { wallMs: outcomes.length === 0 ? 0 : 10_000 });
    expect(summary).toMatchObject({ requests: outcomes.length, ttft_ms: null, tpot_ms: null, e2e_ms: null, goodput_rps: 0 });
    expect(JSON.parse(JSON.stringify(summary))).toEqual(summary);
  });

  it('is JSON without loss, whatever happened', () => {
    const time = fc.double({ min: 0, max: 1e6, noNaN: true });
    const kind = fc.constantFrom<RequestOutcome['outcome']>('answered', 'refused', 'failed', 'cut', 'timed-out', 'abandoned');
    const any = fc.record({
      outcome: kind,
      target: fc.nat(1),
      slice: fc.nat(9),
      dueAtMs: time,
      endedAtMs: time,
      outputTokens: fc.nat(3),
      error: fc.string(),
    });
    fc.assert(
      fc.property(fc.array(any, { maxLength: 30 }), (changes) => {
        const summary = summarise(
          resultOf(
            changes.map((change) => outcome(change)),
            { targets: twoTargets },
          ),
          machine,
        );
        expect(JSON.parse(JSON.stringify(summary))).toEqual(summary);
      }),
      { numRuns: 20 },
    );
  });
});

describe('a comparison', () => {
  it('finds which is better, with the interval of the ratio', () => {
    const random = createRandom(3);
    const summary = compared(12, ({ target }) => (target === 0 ? 100 : 80) * (0.8 + 0.4 * random()));
    const line = lineOf(summary, 'ttft_ms.p50');
    expect(line).toMatchObject({ better: 'b', slices: 12 });
    expect(line?.ratio?.low).toBeLessThan(0.8);
    expect(line?.ratio?.high).toBeGreaterThan(0.8);
    expect(line?.ratio?.high).toBeLessThan(1);
    expect(summary.targets.map(({ requests }) => requests)).toEqual([240, 240]);
  });

  it('shows no difference between equals', () => {
    const random = createRandom(4);
    const summary = compared(12, () => 100 * (0.5 + random()));
    expect(lineOf(summary, 'ttft_ms.p50')).toMatchObject({ better: 'undecided' });
    expect(lineOf(summary, 'e2e_ms.p99')).toMatchObject({ better: 'undecided' });
  });

  it('draws slices, not requests: a few slices that were slow as a whole say little', () => {
    // In each slice one of the two, in turn, is slow: 20 requests that agree are still one experiment.
    const summary = compared(8, ({ target, slice }) => (slice % 2 === target ? 200 : 100) + slice);
    expect(lineOf(summary, 'ttft_ms.p50')).toMatchObject({ better: 'undecided' });
  });

  it('concludes nothing from fewer than six slices, and nothing from no answers', () => {
    expect(
      lineOf(
        compared(5, ({ target }) => 100 - target * 50),
        'ttft_ms.p50',
      ),
    ).toMatchObject({ better: 'undecided', slices: 5 });
    const silent = summarise(
      resultOf([failure('failed', 'x', { slice: 1 }), failure('failed', 'x', { target: 1 })], { targets: twoTargets }),
      machine,
    ) as CompareSummary & ReplaySummary;
    expect(lineOf(silent, 'ttft_ms.p50')).toMatchObject({ a: null, b: null, ratio: null, better: 'undecided' });
  });

  it('takes rates over the time in which the slices of a target ran', () => {
    const { targets } = compared(6, () => 100);
    // 20 requests, the last due after 7.6 s and ended 0.6 s later.
    expect(targets[0].active_s).toBeCloseTo(6 * 8.2);
    expect(targets[1].answered_rps).toBeCloseTo(20 / 8.2);
  });

  it('is the same for the same outcomes', () => {
    const random = createRandom(5);
    const result = comparisonOf(7, () => 100 * random());
    expect(summarise(result, machine)).toEqual(summarise(result, machine));
  });
});
