import { AutoglmError, type GenerateRequest, type Sampling } from '@open-autoglm/protocol';

export type LogitBias = readonly (readonly [token: number, bias: number])[];

export function parseLogitBias(bias: Sampling['logitBias']): LogitBias {
  return Object.entries(bias).map(([token, value]) => [Number(token), value]);
}

/** Adds to the logits of the tokens named; ids outside the vocabulary change nothing. */
export function applyLogitBias(logits: Float32Array, bias: LogitBias): void {
  for (const [token, value] of bias) logits[token] = (logits[token] as number) + value;
}

/** Throws `invalid_value` for a token that the model does not have. */
export function checkLogitBias(request: GenerateRequest, vocabularySize: number): void {
  const wrong = Object.keys(request.sampling.logitBias).find((token) => Number(token) >= vocabularySize);
  if (wrong === undefined) return;
  throw new AutoglmError('invalid_value', `Token id ${wrong} is not in the model's vocabulary of ${vocabularySize}.`, {
    param: 'logit_bias',
  });
}
