import type { Sampling } from '@open-autoglm/protocol';

export type LogitBias = readonly (readonly [token: number, bias: number])[];

export function parseLogitBias(bias: Sampling['logitBias']): LogitBias {
  return Object.entries(bias).map(([token, value]) => [Number(token), value]);
}

/** Adds to the logits of the tokens named; ids outside the vocabulary change nothing. */
export function applyLogitBias(logits: Float32Array, bias: LogitBias): void {
  for (const [token, value] of bias) logits[token] = (logits[token] as number) + value;
}
