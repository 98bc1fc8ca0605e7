import type { RequestOutcome } from '../../../src/replay/outcome.ts';
import type { Machine } from '../../../src/replay/report/index.ts';
import type { ReplayResult } from '../../../src/replay/result.ts';

export const machine: Machine = {
  cpu: 'A CPU',
  cores: 2,
  memory_bytes: 2 ** 33,
  platform: 'linux-x64',
  node: '24.0.0',
  autoglm: '0.1.0',
  load: 0.1,
};

/** An answered request, due at 1 s, with its first of 11 tokens after 100 ms and its last after 600 ms. */
export function outcome(changes: Partial<RequestOutcome> = {}): RequestOutcome {
  return {
    index: 0,
    target: 0,
    slice: 0,
    dueAtMs: 1000,
    sentAtMs: 1000.2,
    firstTokenAtMs: 1100,
    endedAtMs: 1600,
    chunkCount: 11,
    promptTokens: 50,
    cachedTokens: 10,
    outputTokens: 11,
    outcome: 'answered',
    status: 200,
    ...changes,
  };
}

/** One that was not answered. */
export function failure(kind: RequestOutcome['outcome'], error: string, changes: Partial<RequestOutcome> = {}): RequestOutcome {
  const { firstTokenAtMs: _none, status: _unknown, ...rest } = outcome({ outcome: kind, error, outputTokens: 0, chunkCount: 0 });
  return { ...rest, ...changes };
}

export function resultOf(outcomes: readonly RequestOutcome[], changes: Partial<ReplayResult> = {}): ReplayResult {
  return {
    startedAt: '2026-01-01T00:00:00.000Z',
    targets: [{ name: 'http://127.0.0.1:8080', url: 'http://127.0.0.1:8080', model: 'default' }],
    trace: {
      path: 'trace.jsonl',
      format: 'azure',
      requestCount: outcomes.length,
      spanMs: 9000,
      brokenLineCount: 0,
      brokenLines: [],
      clockBackwardsCount: 0,
      clockBackwardsLines: [],
    },
    options: { speed: 1, meanRatePerSecond: 1, timeoutMs: 60_000, inFlightMax: 1000, promptScale: 1, outputScale: 1, seed: 1 },
    outcomes,
    wallMs: 10_000,
    end: 'completed',
    warnings: [],
    generator: { cpuSeconds: 1, latenessMs: { p50: 0.1, p99: 0.4, max: 1 }, originMs: 5000, inFlightPeak: 3, connectionPeak: 3 },
    ...changes,
  };
}

export const twoTargets: ReplayResult['targets'] = [
  { name: 'http://127.0.0.1:8080', url: 'http://127.0.0.1:8080', model: 'default' },
  { name: 'http://127.0.0.1:9090', url: 'http://127.0.0.1:9090', model: 'default' },
];

/** A comparison over so many slices of 20 requests, in which `latencyOf` says how long the first token took. */
export function comparisonOf(
  sliceCount: number,
  ttftOf: (request: { readonly target: number; readonly slice: number; readonly index: number }) => number,
): ReplayResult {
  const requests = Array.from({ length: sliceCount * 20 }, (_, index) => ({ index, slice: Math.floor(index / 20) }));
  const outcomes = [0, 1].flatMap((target) =>
    requests.map(({ index, slice }) => {
      const dueAtMs = (slice * 2 + target) * 10_000 + (index % 20) * 400;
      const firstTokenAtMs = dueAtMs + ttftOf({ target, slice, index });
      return outcome({ index, target, slice, dueAtMs, sentAtMs: dueAtMs, firstTokenAtMs, endedAtMs: firstTokenAtMs + 500 });
    }),
  );
  return resultOf(outcomes, { targets: twoTargets, wallMs: sliceCount * 20_000 });
}
