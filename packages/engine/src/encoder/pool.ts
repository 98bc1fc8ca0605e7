import type { EncoderSizes } from './encoder-sizes.ts';

/**
 * One vector of length 1 for each text, of the states of its tokens: [embeddingLength, tokens], the texts one after another.
 * A vector of zeros stays one.
 */
export function pool(
  states: Float32Array,
  lengths: readonly number[],
  { embeddingLength, pooling }: Pick<EncoderSizes, 'embeddingLength' | 'pooling'>,
): Float32Array[] {
  let start = 0;
  return lengths.map((length) => {
    const token = (index: number) => states.subarray((start + index) * embeddingLength, (start + index + 1) * embeddingLength);
    const vector = pooling === 'mean' ? sum(token, length, embeddingLength) : token(pooling === 'cls' ? 0 : length - 1).slice();
    start += length;
    return normalise(vector);
  });
}

/** Of its length nothing is left after the norm, so the sum does for the mean. */
function sum(token: (index: number) => Float32Array, length: number, embeddingLength: number): Float32Array {
  const total = new Float64Array(embeddingLength);
  for (let index = 0; index < length; index += 1) {
    const state = token(index);
    for (let element = 0; element < embeddingLength; element += 1) (total[element] as number) += state[element] as number;
  }
  return Float32Array.from(total);
}

function normalise(vector: Float32Array): Float32Array {
  let square = 0;
  for (const value of vector) square += value * value;
  const scale = square > 0 ? 1 / Math.sqrt(square) : 0;
  for (let element = 0; element < vector.length; element += 1) (vector[element] as number) *= scale;
  return vector;
}
