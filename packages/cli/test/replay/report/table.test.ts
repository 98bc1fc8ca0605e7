import stringWidth from 'string-width';
import { describe, expect, it } from 'vitest';
import { formatSummary, summarise } from '../../../src/replay/report/index.ts';
import { alignColumns, formatDuration, formatNumber, harmless } from '../../../src/replay/report/text.ts';
import type { ReplayResult } from '../../../src/replay/result.ts';
import { comparisonOf, failure, machine, outcome, resultOf } from './results.ts';

const tableOf = (result: ReplayResult) => formatSummary(summarise(result, machine));

describe('the table of a replay', () => {
  it('shows percentiles with units, counts, goodput and the generator', () => {
    const text = tableOf(
      resultOf([outcome(), outcome({ firstTokenAtMs: 1300 }), failure('refused', 'queue is full', { status: 429 })], {
        options: { ...resultOf([]).options, slo: { ttftMs: 200 } },
      }),
    );
    expect(text).toMatch(/^ +p50 +p90 +p95 +p99 +max +mean$/m);
    expect(text).toMatch(/^TTFT +ms +200 +280 +290 +298 +300 +200$/m);
    expect(text).toMatch(/^answered +2 of 3, 0\.200 requests\/s$/m);
    expect(text).toMatch(/^goodput +0\.100 requests\/s; 33\.3 % met TTFT ≤ 200 ms$/m);
    expect(text).toMatch(/1 × refused 429: queue is full$/m);
    expect(text).toMatch(/^generator +sent late by 0\.100 ms \(p50\)/m);
    expect(text).toContain('! Not answered: 1 of 3 requests (33.3 %);');
  });

  it('says what may be concluded from a comparison', () => {
    const text = tableOf(comparisonOf(8, ({ target }) => 100 - target * 50));
    expect(text).toMatch(/^TTFT p50 +ms +100 +50 +0\.50 +\[0\.50, 0\.50\] +less +B is better$/m);
    expect(text).toMatch(/^TPOT p50 .* no difference shown$/m);
    expect(tableOf(comparisonOf(2, () => 100))).toContain('too few slices to tell (2 of 6)');
  });

  it('says of prompts only what the server counted', () => {
    expect(tableOf(resultOf([outcome()]))).toMatch(/^tokens +1\.10 out\/s, 5 in\/s, 20\.0 % of these cached$/m);
    const { promptTokens: _prompt, cachedTokens: _cached, ...uncounted } = outcome();
    expect(tableOf(resultOf([uncounted]))).toMatch(/^tokens +1\.10 out\/s$/m);
    expect(summarise(resultOf([uncounted]), machine)).not.toHaveProperty('prompt_tokens_per_second');
  });

  it('is whole where there was nothing to measure', () => {
    expect(tableOf(resultOf([], { wallMs: 0 }))).toMatch(/^TTFT +ms +– +–/m);
    expect(tableOf(resultOf([failure('failed', 'no connection')], { end: 'silent' }))).toContain(
      '! A server took connections and sent nothing at all',
    );
  });

  it('tells damage of the trace and the replay own lateness', () => {
    const damaged = resultOf([outcome()]);
    const trace = {
      ...damaged.trace,
      brokenLineCount: 4,
      brokenLines: [1, 2, 3, 4].map((line) => ({ line, reason: 'not JSON' })),
      clockBackwardsCount: 1,
      clockBackwardsLines: [9],
    };
    const text = tableOf({
      ...damaged,
      trace,
      end: 'interrupted',
      warnings: ['no usage'],
      generator: { ...damaged.generator, latenessMs: { p50: 1, p99: 40, max: 90 } },
    });
    expect(text).toContain('! 4 broken lines of the trace skipped (line 1: not JSON; 2: not JSON; 3: not JSON, …).');
    expect(text).toContain("! The trace's clock went back 1 time (line 9)");
    expect(text).toContain('! The replay was interrupted');
    expect(text).toContain('! no usage');
    expect(text).toContain('1 % of requests were sent 40 ms or more after they were due');
  });

  it('holds no control character of a server', () => {
    const hostile = '\u001b[2J\u001b]0;title\u0007\r\n\u202eevil\u2028<script>';
    const text = tableOf(
      resultOf([failure('failed', hostile)], { targets: [{ name: hostile, url: 'http://x', model: hostile }], warnings: [hostile] }),
    );
    expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}]/u);
    expect(text).toContain('\\u{1b}[2J');
  });
});

describe('a replay of one request', () => {
  it('has one of everything', () => {
    const alone = tableOf(resultOf([failure('failed', 'no connection')]));
    expect(alone).toContain('1 request in 10 s');
    expect(alone).toContain('! None of 1 request was answered.');
    expect(tableOf(resultOf([failure('failed', 'no connection'), outcome()]))).toContain('! Not answered: 1 of 2 requests (50.0 %);');
    expect(tableOf(resultOf([]))).toContain('0 requests in');
  });
});

describe('text of a terminal', () => {
  it('aligns columns by the places that characters take', () => {
    const lines = alignColumns(
      [
        ['模型', '1'],
        ['model', '22'],
        ['é́', '3'],
      ],
      ['left', 'right'],
    );
    expect(lines.map((line) => stringWidth(line))).toEqual([9, 9, 9]);
    expect(lines[0]).toBe('模型    1');
  });

  it('shows three digits that count', () => {
    expect([1234.5, 123.4, 12.34, 1.234, 0.1234, 7, 0, null, NaN].map(formatNumber)).toEqual([
      '1,235',
      '123',
      '12.3',
      '1.23',
      '0.123',
      '7',
      '0',
      '–',
      '–',
    ]);
    expect([350, 12_500, 200_000, 7_500_000].map(formatDuration)).toEqual(['350 ms', '12.5 s', '3 min 20 s', '2 h 5 min']);
    expect(harmless('a\tb')).toBe('a\\u{9}b');
  });
});
