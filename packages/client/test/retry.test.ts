import { describe, expect, it } from 'vitest';
import { ApiError, ConnectionError } from '../src/errors.ts';
import { parseRetryAfter, RetryBudget, retryDelayMs } from '../src/retry.ts';

const api = (status: number, code?: string, retryAfterMs?: number) =>
  new ApiError(status, { ...(code !== undefined && { code }) }, { retryAfterMs });

describe('a retry', () => {
  it.each([
    ['a broken connection', new ConnectionError(), true, false],
    ['429', api(429), true, true],
    ['503', api(503), true, true],
    ['502', api(502), true, false],
    ['504', api(504), true, false],
    ['a deadline', api(504, 'deadline_exceeded'), false, false],
    ['an engine that will not come back', api(503, 'engine_failed'), false, false],
    ['500', api(500), false, false],
    ['400', api(400), false, false],
    ['412', api(412), false, false],
    ['being told to come back much later', api(429, undefined, 60_000), false, false],
    ['a mistake in a program', new TypeError(), false, false],
  ])('after %s is worth it: repeatable %s, otherwise %s', (_, error, repeatable, refused) => {
    expect(retryDelayMs(error, 'repeatable', 0, 0.5) !== undefined).toBe(repeatable);
    expect(retryDelayMs(error, 'refused', 0, 0.5) !== undefined).toBe(refused);
  });

  it('waits longer each time, anywhere within a half, and as long as it is told', () => {
    const delays = [0, 1, 2, 10].map((attempt) => [0, 1].map((random) => retryDelayMs(api(503), 'repeatable', attempt, random)));
    expect(delays).toEqual([
      [125, 250],
      [250, 500],
      [500, 1000],
      [4000, 8000],
    ]);
    expect(retryDelayMs(api(429, undefined, 3000), 'refused', 0, 1)).toBe(3000);
  });

  it.each([
    [null, undefined],
    ['2', 2000],
    ['0', 0],
    ['Thu, 01 Jan 1970 00:00:10 GMT', 9000],
    ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
    ['soon', undefined],
  ])('reads Retry-After: %j', (header, expected) => {
    expect(parseRetryAfter(header, 1000)).toBe(expected);
  });

  it('is paid for by requests', () => {
    const budget = new RetryBudget(0.5, 2);
    expect([budget.spend(), budget.spend(), budget.spend()]).toEqual([true, true, false]);
    budget.earn();
    expect(budget.spend()).toBe(false);
    budget.earn();
    expect([budget.spend(), budget.spend()]).toEqual([true, false]);
    for (let index = 0; index < 100; index += 1) budget.earn();
    expect([budget.spend(), budget.spend(), budget.spend()]).toEqual([true, true, false]);
  });
});
