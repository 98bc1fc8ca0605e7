import { AutoglmError, type EmbeddingRequest } from '@open-autoglm/protocol';
import type { Vocabulary } from '../ggml/vocabulary.ts';

export interface ReadOptions {
  readonly vocabulary: Pick<Vocabulary, 'size' | 'tokenizeWhole'>;
  /** Tokens of one text at most. */
  readonly contextLength: number;
}

/** The token ids of each input. Throws `context_length_exceeded` or `invalid_value`, naming the input. */
export function readInputs({ inputs, truncate = false }: Pick<EmbeddingRequest, 'inputs' | 'truncate'>, { vocabulary, contextLength }: ReadOptions): (readonly number[])[] {
  const ending = vocabulary.tokenizeWhole('').length - 1;
  return inputs.map((input, index) => {
    const param = inputs.length === 1 ? 'input' : `input[${index}]`;
    const tokens = typeof input === 'string' ? vocabulary.tokenizeWhole(input) : checkIds(input, vocabulary.size, param);
    if (tokens.length === 0) throw new AutoglmError('invalid_value', `Invalid value for '${param}': it has no tokens.`, { param });
    if (tokens.length <= contextLength) return tokens;
    if (truncate) return cut(tokens, contextLength, ending);
    const message = `'${param}' has ${tokens.length} tokens, and this model reads ${contextLength} at most: split the text, or let its end go with autoglm.truncate.`;
    throw new AutoglmError('context_length_exceeded', message, { param });
  });
}

/** The text's end goes; the tokens that every text ends with stay. */
function cut(tokens: readonly number[], length: number, ending: number): readonly number[] {
  return [...tokens.slice(0, length - ending), ...tokens.slice(tokens.length - ending)];
}

function checkIds(ids: readonly number[], size: number, param: string): readonly number[] {
  const wrong = ids.find((id) => id >= size);
  if (wrong === undefined) return ids;
  throw new AutoglmError('invalid_value', `Invalid value for '${param}': the model has no token ${wrong}; its ids go up to ${size - 1}.`, { param });
}
