import { describe, expect, it } from 'vitest';
import { readEncoderSizes } from '../../src/encoder/encoder-sizes.ts';

const whole: Readonly<Record<string, number>> = {
  'bert.block_count': 2,
  'bert.context_length': 128,
  'bert.embedding_length': 64,
  'bert.feed_forward_length': 128,
  'bert.attention.head_count': 4,
  'bert.attention.layer_norm_epsilon': 1e-12,
  'bert.pooling_type': 2,
};
const read = (changes: Readonly<Record<string, number | undefined>>) => {
  const values = { ...whole, ...changes };
  return readEncoderSizes({ path: 'a.gguf', number: (key) => values[key], boolean: () => undefined });
};

describe("an encoder's sizes", () => {
  it('are read, with the mean where the file names no pooling', () => {
    expect(read({ 'bert.pooling_type': undefined })).toMatchObject({ headLength: 16, pooling: 'mean', normEpsilon: 1e-12 });
  });

  it.each<[string, number | undefined]>([
    ['block_count', undefined],
    ['attention.head_count', 3],
    ['pooling_type', 0],
    // ggml would end the process over these.
    ['attention.layer_norm_epsilon', -1],
    ['attention.layer_norm_epsilon', Number.NaN],
  ])('are refused by the key: %s %s', (key, value) => {
    const name = key === 'attention.head_count' ? '3 attention heads' : `bert.${key}`;
    expect(() => read({ [`bert.${key}`]: value })).toThrow(
      expect.objectContaining({ code: 'engine_failed', message: expect.stringContaining(name) }),
    );
  });
});
