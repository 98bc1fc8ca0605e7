import type { HashedWords } from './hashed-words.ts';

/** What a model is asked about: named numbers, and the words where it knows any. */
export interface Observation {
  readonly numbers: Readonly<Record<string, number>>;
  readonly words: HashedWords | undefined;
}

/** A named number is brought to mean 0 and deviation 1 by what it was in the data that the model was learned from. */
export interface NumberWeight {
  readonly mean: number;
  readonly deviation: number;
  readonly weight: number;
}

/** A logistic regression, as it stands in a policy's file. */
export interface LinearModel {
  readonly intercept: number;
  readonly numbers: Readonly<Record<string, NumberWeight>>;
  /** By place; empty where words say nothing. */
  readonly words: readonly number[];
}

/** A question unlike all that were learned from is treated as the most unlike of them. */
export const deviationsMax = 4;

/** The probability. A number that is not known is taken for its mean. */
export function probability({ intercept, numbers, words }: LinearModel, observation: Observation): number {
  let logit = intercept;
  for (const name in numbers) {
    const { mean, deviation, weight } = numbers[name] as NumberWeight;
    const value = observation.numbers[name];
    if (value !== undefined) logit += weight * standardised(value, mean, deviation);
  }
  if (observation.words && words.length > 0) {
    const { places, values } = observation.words;
    for (let index = 0; index < places.length; index += 1) logit += (words[places[index] as number] as number) * (values[index] as number);
  }
  return 1 / (1 + Math.exp(-logit));
}

export function standardised(value: number, mean: number, deviation: number): number {
  return Math.max(-deviationsMax, Math.min(deviationsMax, (value - mean) / deviation));
}
