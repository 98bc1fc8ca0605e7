import { describe, expect, it } from 'vitest';
import { errorsOf, startFakeServer } from '../../src/replay/known-load.ts';

const nowMs = () => Number(process.hrtime.bigint()) / 1e6;

describe('a replay of a known load', () => {
  it('is charged with sending late and reading late, and not with what the server is late', () => {
    const originMs = 1000;
    // Sent 1 ms late, read by the server 5 ms after that; learnt of the first token 2 ms late, of the end 3 ms.
    const timings = { received_at: originMs + 16, first_written_at: originMs + 36, end_written_at: originMs + 66 };
    const outcome = { dueAtMs: 10, sentAtMs: 11, firstTokenAtMs: 38, endedAtMs: 69, outputTokens: 5, timings };
    const errors = errorsOf(`${JSON.stringify(outcome)}\n`, originMs);
    expect(errors).toEqual({
      ttftError: { p50: 3, p99: 3 },
      tpotError: { p50: 0.25, p99: 0.25 },
      lateness: { p50: 1, p99: 1 },
      sendError: { p50: 6, p99: 6 },
      readError: { p50: 2, p99: 2 },
      e2eError: { p50: 9, p99: 9 },
    });
  });

  it('counts the size of an error: a token read too early hides none that was read too late', () => {
    const outcomeOf = (firstTokenAtMs: number) => ({
      dueAtMs: 0,
      sentAtMs: 0,
      firstTokenAtMs,
      endedAtMs: 40,
      outputTokens: 3,
      timings: { received_at: 0, first_written_at: 20, end_written_at: 40 },
    });
    const errors = errorsOf([18, 22].map((at) => JSON.stringify(outcomeOf(at))).join('\n'), 0);
    expect([errors.ttftError, errors.tpotError, errors.readError]).toEqual([
      { p50: 2, p99: 2 },
      { p50: 1, p99: 1 },
      { p50: 2, p99: 2 },
    ]);
  });

  it('is answered by a server that stamps on the clock of this process', async () => {
    const server = await startFakeServer({ ttftMs: 2, gapMs: 1 });
    try {
      const sentAt = nowMs();
      const response = await fetch(`${server.url}/v1/chat/completions`, {
        method: 'POST',
        body: JSON.stringify({ max_tokens: 3, model: 'fake', stream: true }),
      });
      const events = (await response.text())
        .split('\n\n')
        .filter((text) => text.startsWith('data: {'))
        .map((text) => JSON.parse(text.slice(6)) as { readonly autoglm?: { readonly timings: object } });
      const timings = events.at(-1)?.autoglm?.timings ?? {};
      expect(Object.keys(timings)).toEqual(['received_at', 'first_written_at', 'end_written_at']);
      const times = [sentAt, ...(Object.values(timings) as number[]), nowMs()];
      expect(times.toSorted((a, b) => a - b)).toEqual(times);
      expect(events).toHaveLength(4);
    } finally {
      await server.stop();
    }
  });
});
