import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { renderPage, summarise } from '../../../src/replay/report/index.ts';
import { html } from '../../../src/replay/report/page/markup.ts';
import { countScale, latencyScale, linearScale, logScale, percentileScale, timeScale } from '../../../src/replay/report/page/scale.ts';
import { createTimeline, placeInTime, quantileLine } from '../../../src/replay/report/page/timeline.ts';
import type { ReplayResult } from '../../../src/replay/result.ts';
import { comparisonOf, failure, machine, outcome, resultOf } from './results.ts';

const pageOf = (result: ReplayResult) => renderPage(result, summarise(result, machine));
const titlesOf = (page: string) => [...page.matchAll(/<figcaption><b>([^<]*)<\/b>/g)].map(([, title]) => title);
const slo = { options: { ...resultOf([]).options, slo: { ttftMs: 200 } } };

describe('the page of a replay', () => {
  it('has every plot that there is something to plot in', () => {
    const page = pageOf(
      resultOf([outcome(), outcome({ dueAtMs: 4000, firstTokenAtMs: 4100, endedAtMs: 5000 }), failure('cut', 'reset')], slo),
    );
    expect(titlesOf(page)).toEqual([
      'TTFT over time, ms',
      'TPOT over time, ms',
      'end to end over time, ms',
      'TTFT by percentile, ms',
      'TPOT by percentile, ms',
      'end to end by percentile, ms',
      'Requests per second',
      'Requests in flight, at most',
      'SLO attainment',
      'Requests not answered',
    ]);
    expect(titlesOf(pageOf(resultOf([outcome({ outputTokens: 1 })])))).not.toContain('TPOT over time, ms');
  });

  it('compares: both series, the ratio with its interval, and what follows from it', () => {
    const page = pageOf(comparisonOf(8, ({ target }) => 100 - target * 50));
    expect(page).toMatch(
      /<tr class="b"><th>TTFT p50 <small>ms<\/small><\/th><td>100<\/td><td>50<\/td><td>0\.50<\/td><td>0\.50 – 0\.50<\/td>.*B is better/,
    );
    expect(page).toContain('no difference shown');
    expect(page).toMatch(/path class="s0 strong line"/);
    expect(page).toMatch(/path class="s1 strong line"/);
  });

  it.each([
    ['nothing', resultOf([], { wallMs: 0 })],
    ['one request', resultOf([outcome()])],
    ['only errors', resultOf([failure('failed', 'no connection'), failure('abandoned', 'never sent')], slo)],
    [
      'a comparison without an answer',
      { ...comparisonOf(1, () => 1), outcomes: [failure('failed', 'x'), failure('failed', 'x', { target: 1 })] },
    ],
  ])('of %s is whole and holds no number that is none', (_, result) => {
    const page = pageOf(result);
    expect(page).toMatch(/<\/html>\n$/);
    expect(page).not.toMatch(/NaN|Infinity|undefined|\[object/);
  });

  it('counts one as one', () => {
    const result = comparisonOf(1, () => 1);
    const page = renderPage(
      { ...result, trace: { ...result.trace, requestCount: 1 } },
      summarise(
        { ...result, trace: { ...result.trace, requestCount: 1 }, generator: { ...result.generator, connectionPeak: 1 } },
        { ...machine, cores: 1 },
      ),
    );
    expect(page).toContain('<p>1 slice of the trace, replayed to both servers in turn;');
    expect(page).toContain('1 request over 9 s');
    expect(page).toContain('1 connection at most');
    expect(page).toContain('A CPU, 1 core,');
    expect(pageOf(comparisonOf(2, () => 1))).toContain('<p>2 slices of the trace, each replayed to both servers in turn;');
  });

  it('asks for nothing and runs nothing', () => {
    const page = pageOf(comparisonOf(6, () => 100));
    expect(page).not.toMatch(/\b(src|href|srcset)=|@import|url\(/);
    expect([...page.matchAll(/<script\b[^>]*>/g)].map(([tag]) => tag)).toEqual(['<script type="application/json" id="report">']);
    const style = /<style>(.*?)<\/style>/s.exec(page)?.[1] as string;
    expect(page).toContain(
      `content="default-src &#39;none&#39;; style-src &#39;sha256-${createHash('sha256').update(style).digest('base64')}&#39;"`,
    );
  });

  it('shows hostile texts as texts', () => {
    const hostile = '</script></style><script>alert(1)</script><img src=x onerror=alert(1)>" \' & \u202e';
    const page = pageOf(
      resultOf([failure('failed', hostile), outcome({ timings: { [hostile]: 1 } })], {
        targets: [{ name: hostile, url: hostile, model: hostile }],
        trace: { ...resultOf([]).trace, path: `/folder/${hostile}`, brokenLineCount: 1, brokenLines: [{ line: 1, reason: hostile }] },
        warnings: [hostile],
      }),
    );
    expect(page).not.toMatch(/<(img|script>)/);
    expect(page.match(/<\/script>/g)).toHaveLength(1);
    expect(page.match(/<\/style>/g)).toHaveLength(1);
    expect(page).not.toContain('\u202e<');
    expect(page).toContain('&lt;img src=x onerror=alert(1)&gt;&quot; &#39; &amp;');
    const data = /id="report">(.*?)<\/script>/s.exec(page)?.[1] as string;
    expect((JSON.parse(data) as { target: { name: string } }).target.name).toBe(hostile);
  });

  it('escapes whatever is put into markup', () => {
    fc.assert(fc.property(fc.string(), (text) => !/[<>"']/.test(html`${text}`.text)));
  });

  it('bounds the dots of a long run, and keeps the slowest', () => {
    const many = Array.from({ length: 50_000 }, (_, index) =>
      outcome({ dueAtMs: index * 10, firstTokenAtMs: index * 10 + (index === 31_337 ? 5000 : 20), endedAtMs: index * 10 + 6000 }),
    );
    const page = pageOf(resultOf(many, { wallMs: 506_000 }));
    expect(page.length).toBeLessThan(400_000);
    expect(page).toContain('5,000');
  });
});

describe('a timeline', () => {
  it('counts each request once where it was due, once where it ended, and what ran between', () => {
    const anyOutcome = fc.record({
      dueAtMs: fc.integer({ min: 0, max: 60_000 }),
      runsMs: fc.integer({ min: 0, max: 30_000 }),
      ok: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(anyOutcome, { minLength: 1, maxLength: 40 }), (list) => {
        const outcomes = list.map(({ dueAtMs, runsMs, ok }) =>
          (ok ? outcome : (changes: object) => failure('failed', 'x', changes))({
            dueAtMs,
            sentAtMs: dueAtMs,
            endedAtMs: dueAtMs + runsMs,
          }),
        );
        const placed = placeInTime(resultOf(outcomes), 0);
        const { bins, binSeconds } = createTimeline(placed, Math.max(...placed.map(({ endedAt }) => endedAt)), undefined);
        const sum = (value: (bin: (typeof bins)[number]) => number) => Math.round(bins.reduce((total, bin) => total + value(bin), 0));
        expect(sum(({ due }) => due * binSeconds)).toBe(list.length);
        expect(sum(({ answered }) => answered * binSeconds)).toBe(list.filter(({ ok }) => ok).length);
        expect(sum(({ errors }) => errors.failed ?? 0)).toBe(list.filter(({ ok }) => !ok).length);
        expect(Math.max(...bins.map(({ inFlightMax }) => inFlightMax))).toBeLessThanOrEqual(list.length);
      }),
      { numRuns: 50 },
    );
  });

  it('knows how many ran at once, also in bins in which nothing began', () => {
    const placed = placeInTime(
      resultOf([outcome({ dueAtMs: 0, sentAtMs: 0, endedAtMs: 90_000 }), outcome({ dueAtMs: 100, sentAtMs: 100, endedAtMs: 200 })]),
      0,
    );
    const { bins } = createTimeline(placed, 90, undefined);
    expect(bins.map(({ inFlightMax }) => inFlightMax)).toEqual([2, ...Array.from({ length: 89 }, () => 1)]);
  });

  it('lays the slices of two servers one over the other', () => {
    const result = { ...comparisonOf(2, () => 100) };
    const withBlocks = { ...result, options: { ...result.options, blockMs: 10_000 } };
    const dueTimes = [0, 1].map((target) => placeInTime(withBlocks, target).map(({ dueAt }) => dueAt));
    expect(dueTimes[0]).toEqual(dueTimes[1]);
    expect(dueTimes[0]?.[20]).toBe(10);
  });

  it('has the quantile of each bin, and a gap where there is none', () => {
    const placed = placeInTime(
      resultOf([outcome({ dueAtMs: 0, firstTokenAtMs: 50 }), outcome({ dueAtMs: 2500, firstTokenAtMs: 2600, endedAtMs: 3000 })]),
      0,
    );
    const line = quantileLine(createTimeline(placed, 100, undefined), 'ttft', 0.5);
    expect(line.slice(0, 3).map(({ y }) => y)).toEqual([50, NaN, 100]);
  });
});

describe('scales', () => {
  it('hold every value within 0 … 1, with ticks that rise', () => {
    const value = fc.double({ min: 1e-3, max: 1e7, noNaN: true });
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 20 }), (values) => {
        const [min, max] = [Math.min(...values), Math.max(...values)];
        for (const scale of [
          linearScale(max),
          countScale(max),
          logScale(min * 0.9, max * 1.1),
          latencyScale(values, values[0] as number),
          timeScale(max),
        ]) {
          expect(scale.ticks.length).toBeLessThan(20);
          for (const [index, tick] of scale.ticks.entries()) expect(tick).toBeGreaterThan(scale.ticks[index - 1] ?? -1);
          for (const each of values) expect(scale.place(each)).toBeLessThanOrEqual(1);
          expect(scale.place(max)).toBeGreaterThanOrEqual(scale.place(min));
        }
      }),
    );
    expect(percentileScale(1000).ticks).toEqual([0.5, 0.9, 0.99, 0.999]);
    expect(percentileScale(1000).place(0.99)).toBeCloseTo(2 / 3);
  });
});
