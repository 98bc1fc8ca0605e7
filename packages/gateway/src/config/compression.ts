import Type, { type Static } from 'typebox';

const closed = { additionalProperties: false } as const;
const rate = Type.Number({ minimum: 0.05, maximum: 0.95 });
const milliseconds = Type.Integer({ minimum: 1, maximum: 86_400_000 });

/** How prompts are made shorter before anybody reads them; what it costs in quality is in the decision on it. */
export const compressionSchema = Type.Object(
  {
    /** Of requests that do not say (`autoglm.compression`). */
    method: Type.Union([
      Type.Literal('off'),
      Type.Literal('template'),
      Type.Literal('dedupe'),
      Type.Literal('extract'),
      Type.Literal('adaptive'),
    ]),
    /** Of `extract`: the share of a prompt that is spared, as far as what holds facts leaves it. */
    rate,
    adaptive: Type.Object(
      {
        /** The least and the most that is spared. */
        rate_min: rate,
        rate_max: rate,
        /** Up to this time to first token the least is enough, and from that on the most is wanted. */
        ttft_low_ms: milliseconds,
        ttft_high_ms: milliseconds,
        /** By how much less must be wanted before the rate falls. */
        hysteresis: Type.Number({ minimum: 0, maximum: 0.5 }),
      },
      closed,
    ),
  },
  closed,
);

export const defaultCompression: Static<typeof compressionSchema> = {
  method: 'off',
  rate: 0.3,
  adaptive: { rate_min: 0.15, rate_max: 0.62, ttft_low_ms: 500, ttft_high_ms: 5000, hysteresis: 0.1 },
};

/** What no schema can see; `refuse` is told the key and the reason. */
export function checkCompression(
  { adaptive: { rate_min: rateMin, rate_max: rateMax, ttft_low_ms: lowMs, ttft_high_ms: highMs } }: Static<typeof compressionSchema>,
  refuse: (path: readonly string[], reason: string) => void,
): void {
  if (rateMax < rateMin) refuse(['compression', 'adaptive', 'rate_max'], `is ${rateMax}, and must not be less than rate_min: ${rateMin}`);
  if (highMs <= lowMs) refuse(['compression', 'adaptive', 'ttft_high_ms'], `is ${highMs}, and must be more than ttft_low_ms: ${lowMs}`);
}
