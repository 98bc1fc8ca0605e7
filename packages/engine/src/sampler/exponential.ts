/** ln 2⁻⁵³. What is less likely than this against the likeliest is less than one step of the random numbers, and counts as impossible. */
export const negligibleLogRatio = -53 * Math.LN2;

const stepsPerUnit = 64;
const powers = Float64Array.from({ length: Math.ceil(-negligibleLogRatio * stepsPerUnit) + 1 }, (_, step) =>
  Math.exp(-step / stepsPerUnit),
);

/**
 * exp(x) for x from `negligibleLogRatio` to 0, to eight digits: a table's power times a cubic for the rest. Math.exp is a
 * call out of compiled code and takes three times as long, for every token of the vocabulary at every choice.
 */
export function expOfNegative(x: number): number {
  const step = (-stepsPerUnit * x) | 0;
  const rest = x + step * (1 / stepsPerUnit);
  return (powers[step] as number) * (1 + rest * (1 + rest * (1 / 2 + rest * (1 / 6))));
}
