import { greedySampling, type Sampling } from '@open-autoglm/protocol';
import fc from 'fast-check';
import { createRandom } from '../../src/sampler/random.ts';
import { createSampler, createSamplerScratch, type Sampler } from '../../src/sampler/sampler.ts';

/** Changes nothing: draws from the model's own distribution. */
export const plain: Sampling = { ...greedySampling, temperature: 1, seed: 1 };

export const greedy: Sampling = { ...plain, temperature: 0 };

export function samplerOf(sampling: Partial<Sampling>, vocabularySize: number, prompt: readonly number[] = []): Sampler {
  return createSampler({ ...plain, ...sampling }, prompt, createSamplerScratch(vocabularySize));
}

/** Normally distributed, by Box and Muller; the same for the same seed. */
export function normalLogits(size: number, deviation: number, seed: number): Float32Array {
  const random = createRandom(seed);
  return Float32Array.from({ length: size }, () => deviation * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()));
}

const logit = fc.float({ min: -30, max: 30, noNaN: true });
const coarseLogit = fc.integer({ min: -3, max: 3 });

/** Of a small vocabulary; half of them full of ties. */
export const anyLogits = fc
  .oneof(fc.array(logit, { minLength: 1, maxLength: 300 }), fc.array(coarseLogit, { minLength: 1, maxLength: 300 }))
  .map((values) => Float32Array.from(values));

/** With what a broken model may give. */
export const brokenLogits = fc
  .array(fc.oneof(logit, fc.constantFrom(NaN, -Infinity)), { minLength: 1, maxLength: 100 })
  .map((values) => Float32Array.from(values));

/** Token ids, likeliest first; of equals the lower id. The oracle that the samplers must agree with. */
export function ranked(logits: Float32Array): number[] {
  return Array.from(logits.keys()).sort((a, b) => (logits[b] as number) - (logits[a] as number) || a - b);
}

export function softmax(logits: Float32Array, temperature: number): number[] {
  const greatest = Math.max(...logits);
  const weights = Array.from(logits, (value) => Math.exp((value - greatest) / temperature));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

/** How often each token came in `draws` choices from the same logits. */
export function histogram(sampler: Sampler, logits: Float32Array, draws: number): number[] {
  const counts = Array.from(logits, () => 0);
  for (let draw = 0; draw < draws; draw += 1) {
    const token = sampler.sample(logits);
    counts[token] = (counts[token] as number) + 1;
  }
  return counts;
}

/** Pearson's χ² in standard deviations from its mean; infinite when something impossible came. */
export function chiSquareDeviation(counts: readonly number[], probabilities: readonly number[]): number {
  const draws = counts.reduce((sum, count) => sum + count, 0);
  if (counts.some((count, token) => count > 0 && probabilities[token] === 0)) return Infinity;
  const possible = probabilities
    .map((probability, token) => ({ expected: probability * draws, count: counts[token] as number }))
    .filter(({ expected }) => expected > 0);
  const statistic = possible.reduce((sum, { expected, count }) => sum + (count - expected) ** 2 / expected, 0);
  const freedom = Math.max(possible.length - 1, 1);
  return (statistic - freedom) / Math.sqrt(2 * freedom);
}
