import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { figuresOf, withReading } from '../src/live-figures.ts';
import { readMetrics } from '../src/metrics-text.ts';

describe('readMetrics', () => {
  it('reads names, labels with escapes, and numbers, and passes over the rest', () => {
    const reading = readMetrics(
      '# HELP a b\n# TYPE a counter\na 1\na{x="say \\"\\\\\\n\\"",y="}"} 2.5e3 1700000000\n\nb_bucket{le="+Inf"} 7\nc NaN\nno sample\n',
    );
    expect([...reading.keys()]).toEqual(['a', 'b_bucket', 'c']);
    expect(reading.get('a')).toEqual([
      { labels: {}, value: 1 },
      { labels: { x: 'say "\\\n"', y: '}' }, value: 2500 },
    ]);
    expect(reading.get('b_bucket')).toEqual([{ labels: { le: '+Inf' }, value: 7 }]);
    expect(reading.get('c')?.[0]?.value).toBeNaN();
  });
});

const at = (atMs: number, text: string) => ({ atMs, reading: readMetrics(text) });

describe('withReading', () => {
  it('keeps the minute before, and nothing of a process that was there before a restart', () => {
    const [old, first, last] = [0, 30_000, 80_000].map((atMs) => at(atMs, 'process_start_time_seconds 7\nautoglm_requests_total 10\n'));
    expect(withReading([old!, first!], last!)).toEqual([first, last]);
    const restarted = at(82_000, 'process_start_time_seconds 79\nautoglm_requests_total 12\n');
    expect(withReading([first!, last!], restarted)).toEqual([restarted]);
  });
});

describe('figuresOf', () => {
  it('tells gauges at once, and rates and shares from the second reading on', () => {
    const first = at(
      0,
      'autoglm_active_requests 3\nautoglm_requests_total{model_name="a"} 10\nautoglm_requests_total{model_name="b"} 1\nprocess_resident_memory_bytes 5\n',
    );
    expect(figuresOf([first])).toMatchObject({
      running: 3,
      waiting: 0,
      requestsPerSecond: undefined,
      ttftMs: undefined,
      kvUse: undefined,
      cacheHits: undefined,
      memoryBytes: 5,
    });
    const last = at(
      2000,
      'autoglm_requests_total{model_name="a"} 13\nautoglm_requests_total{model_name="b"} 2\nautoglm_response_cache_lookups_total{result="exact"} 1\nautoglm_response_cache_lookups_total{result="miss"} 3\nautoglm_response_cache_lookups_total{result="off"} 9\nvllm:kv_cache_usage_perc{engine="x"} 0.5\n',
    );
    expect(figuresOf([first, last])).toMatchObject({ requestsPerSecond: 2, cacheHits: 0.25, kvUse: 0.5, running: 0 });
  });

  it('takes counters that begin anew, after a restart, for no negative rate', () => {
    expect(figuresOf([at(0, 'autoglm_requests_total 10'), at(1000, 'autoglm_requests_total 1')]).requestsPerSecond).toBe(0);
  });

  it('names what slows requests down, the costliest first', () => {
    const gauge = (detail: string, seconds: number) =>
      `autoglm_bottleneck_recent_seconds{segment="queue",cause="queueing",detail="${detail}"} ${seconds}\n`;
    expect(figuresOf([at(0, gauge('a', 1) + gauge('b', 3) + gauge('c', 0.04))]).slowdowns.map(({ detail }) => detail)).toEqual(['b', 'a']);
  });

  it('finds quantiles in the bucket in which they are, of what came between the two readings', () => {
    const bounds = [0.01, 0.1, 1, Infinity];
    const values = fc.array(fc.double({ min: 0.0001, max: 0.999, noNaN: true }), { minLength: 1, maxLength: 50 });
    const text = (samples: readonly number[]) =>
      bounds
        .map(
          (bound) =>
            `vllm:time_to_first_token_seconds_bucket{le="${bound === Infinity ? '+Inf' : bound}"} ${samples.filter((value) => value <= bound).length}\n`,
        )
        .join('');
    fc.assert(
      fc.property(values, values, (before, since) => {
        const { ttftMs } = figuresOf([at(0, text(before)), at(1000, text([...before, ...since]))]);
        const sorted = [...since].sort((a, b) => a - b);
        for (const [quantile, ms] of [
          [0.5, ttftMs?.p50],
          [0.99, ttftMs?.p99],
        ] as const) {
          const exact = sorted[Math.ceil(quantile * sorted.length) - 1] as number;
          const above = bounds.findIndex((bound) => exact <= bound);
          expect((ms as number) / 1000).toBeLessThanOrEqual((bounds[above] as number) + 1e-9);
          expect((ms as number) / 1000).toBeGreaterThanOrEqual((bounds[above - 1] ?? 0) - 1e-9);
        }
      }),
    );
  });
});
