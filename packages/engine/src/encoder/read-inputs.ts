import { AutoglmError, type EmbeddingRequest } from '@open-autoglm/protocol';
import type { Vocabulary } from '../ggml/vocabulary.ts';
import { enoughTokens, longestToken } from '../text/fitting-tokens.ts';

export interface ReadOptions {
  readonly vocabulary: Pick<Vocabulary, 'size' | 'tokenizeWhole'>;
  /** Tokens of one text at most. */
  readonly contextLength: number;
}

/**
 * The token ids of each input. Of a text that is too long no more than its beginning is read. Throws `context_length_exceeded` or
 * `invalid_value`, naming the input.
 */
export function readInputs(
  { inputs, truncate = false }: Pick<EmbeddingRequest, 'inputs' | 'truncate'>,
  { vocabulary, contextLength }: ReadOptions,
): (readonly number[])[] {
  const ending = vocabulary.tokenizeWhole('').length - 1;
  const charactersMax = contextLength * longestToken;
  return inputs.map((input, index) => {
    const param = inputs.length === 1 ? 'input' : `input[${index}]`;
    const isText = typeof input === 'string';
    const tokens = isText
      ? tokenizeBeginning(input.slice(0, charactersMax), vocabulary, contextLength)
      : checkIds(input, vocabulary.size, param);
    if (tokens.length === 0) throw new AutoglmError('invalid_value', `Invalid value for '${param}': it has no tokens.`, { param });
    const isWhole = tokens.length <= contextLength && !(isText && input.length > charactersMax);
    if (!isWhole && !truncate) {
      throw new AutoglmError(
        'context_length_exceeded',
        `'${param}' is longer than the ${contextLength} tokens that this model reads: split the text, or let its end go with autoglm.truncate.`,
        { param },
      );
    }
    return tokens.length <= contextLength ? tokens : cut(tokens, contextLength, ending);
  });
}

/** All tokens of the text where they are `tokensMax` at most, else more than these. */
function tokenizeBeginning(text: string, vocabulary: ReadOptions['vocabulary'], tokensMax: number): readonly number[] {
  const reading = enoughTokens({ kind: 'text', text }, tokensMax);
  let next = reading.next();
  while (!next.done) next = reading.next(vocabulary.tokenizeWhole(next.value.text));
  return next.value;
}

/** The text's end goes; the tokens that every text ends with stay. */
function cut(tokens: readonly number[], length: number, ending: number): readonly number[] {
  return [...tokens.slice(0, length - ending), ...tokens.slice(tokens.length - ending)];
}

function checkIds(ids: readonly number[], size: number, param: string): readonly number[] {
  const wrong = ids.find((id) => id >= size);
  if (wrong === undefined) return ids;
  throw new AutoglmError('invalid_value', `Invalid value for '${param}': the model has no token ${wrong}; its ids go up to ${size - 1}.`, {
    param,
  });
}
