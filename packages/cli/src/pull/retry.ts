/** When a transfer is tried again. */
export interface RetryPolicy {
  /** Failures in a row, without a byte in between, after which it is given up. */
  readonly triesMax: number;
  /** Failures in all: a connection that breaks after every few bytes must end, too. */
  readonly failuresMax: number;
  readonly firstDelayMs: number;
  readonly delayMaxMs: number;
}

export const defaultRetryPolicy: RetryPolicy = { triesMax: 6, failuresMax: 100, firstDelayMs: 500, delayMaxMs: 30_000 };

/**
 * How long to wait after the `failure`th failure in a row (1, 2, …): twice as long each time, a random half of it taken off,
 * so that many clients do not come back at once; longer where the server asks for it, within the bound.
 */
export function retryDelay(
  { firstDelayMs, delayMaxMs }: RetryPolicy,
  failure: number,
  retryAfterMs: number | undefined,
  random: () => number,
): number {
  const backoff = Math.min(delayMaxMs, firstDelayMs * 2 ** (failure - 1));
  return Math.min(delayMaxMs, Math.max(retryAfterMs ?? 0, backoff * (0.5 + random() / 2)));
}
