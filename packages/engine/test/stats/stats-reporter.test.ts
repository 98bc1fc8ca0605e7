import type { EngineStats, ProcessStats } from '@open-autoglm/protocol';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { reportIntervalMs, StatsReporter, type CoreStats } from '../../src/stats/stats-reporter.ts';

const processStats: ProcessStats = {
  cpuSeconds: 1,
  residentBytes: 2,
  heapUsedBytes: 3,
  loopDelayMs: { p50: 0, p99: 0, max: 0 },
  gcCount: 0,
  gcSeconds: 0,
};
const none = { bounds: [], counts: [0], sum: 0 };

function setUp() {
  const sent: { readonly atMs: number; readonly stats: EngineStats }[] = [];
  const state = { running: 0, watched: false };
  const stats = (): CoreStats => ({
    running: state.running,
    waiting: 0,
    kvUsedTokens: 0,
    kvCapacityTokens: 1,
    promptTokens: 0,
    cachedTokens: 0,
    generatedTokens: 0,
    batchSize: none,
    interTokenMs: none,
  });
  const reporter = new StatsReporter({
    core: {
      get idle() {
        return state.running === 0;
      },
      stats,
    },
    process: { resume: () => (state.watched = true), pause: () => (state.watched = false), read: () => processStats },
    send: (said) => sent.push({ atMs: Date.now(), stats: said }),
    now: () => Date.now(),
  });
  return { reporter, sent, state };
}

describe('StatsReporter', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('reports at once, every second while there is work, once after it, and then never again', () => {
    const { reporter, sent, state } = setUp();
    state.running = 1;
    reporter.touch();
    vi.advanceTimersByTime(2500);
    expect(sent.map(({ stats }) => stats.running)).toEqual([1, 1, 1]);
    state.running = 0;
    vi.advanceTimersByTime(600);
    expect(sent.at(-1)?.stats).toMatchObject({ running: 0, process: processStats });
    expect(state.watched).toBe(false);
    vi.advanceTimersByTime(60_000);
    expect(sent).toHaveLength(4);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('never reports twice within a second, and the last report is of the last state', () => {
    const steps = fc.array(fc.record({ afterMs: fc.integer({ min: 0, max: 1500 }), running: fc.integer({ min: 0, max: 2 }) }), {
      minLength: 1,
      maxLength: 30,
    });
    fc.assert(
      fc.property(steps, (all) => {
        const { reporter, sent, state } = setUp();
        for (const { afterMs, running } of all) {
          vi.advanceTimersByTime(afterMs);
          state.running = running;
          reporter.touch();
        }
        vi.advanceTimersByTime(reportIntervalMs);
        for (const [index, { atMs }] of sent.entries())
          if (index > 0) expect(atMs - (sent[index - 1]?.atMs as number)).toBeGreaterThanOrEqual(reportIntervalMs);
        expect(sent.at(-1)?.stats.running).toBe(all.at(-1)?.running);
        reporter.close();
        expect(vi.getTimerCount()).toBe(0);
      }),
      { numRuns: 50 },
    );
  });
});
