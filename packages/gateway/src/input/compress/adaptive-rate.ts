/** When and how far compression gives way to load. */
export interface AdaptiveSettings {
  /** The least and the most of a prompt that is spared, 0 … 1. */
  readonly rateMin: number;
  readonly rateMax: number;
  /** Time to first token up to which the least is enough, and from which on the most is wanted; in milliseconds. */
  readonly lowMs: number;
  readonly highMs: number;
  /** By how much less must be wanted before the rate falls, 0 … 1: noise smaller than that changes nothing. */
  readonly hysteresis: number;
}

/**
 * The rate after a reading: it rises at once to what the time to first token asks for, and falls only as far as that plus the hysteresis,
 * so that prompts do not change from one request to the next with every breath of the load; at half of `lowMs` it is the least again.
 * Without a reading it stays.
 */
export function nextRate(
  rate: number,
  ttftMs: number | undefined,
  { rateMin, rateMax, lowMs, highMs, hysteresis }: AdaptiveSettings,
): number {
  if (ttftMs === undefined) return Math.min(rateMax, Math.max(rateMin, rate));
  const load = Math.min(1, Math.max(0, (ttftMs - lowMs) / (highMs - lowMs)));
  const wanted = rateMin + (rateMax - rateMin) * load;
  // At rest it falls to the least.
  const ceiling = ttftMs <= lowMs / 2 ? rateMin : wanted + hysteresis;
  return Math.min(rateMax, Math.max(rateMin, wanted, Math.min(rate, ceiling)));
}
