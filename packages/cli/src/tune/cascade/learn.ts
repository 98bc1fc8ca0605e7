import {
  observeAnswer,
  observePrompt,
  predict,
  scoreNumbers,
  type GainModel,
  type JudgedBy,
  type NumberWeight,
  type Observation,
} from '@open-autoglm/gateway/cascade-policy';
import { createRandom } from '@open-autoglm/statistics';
import { curveOf } from './curve.ts';
import { fitLogistic, type FitOptions } from './fit-logistic.ts';
import type { Outcome } from './outcomes.ts';

/** Questions that a policy is learned from, at least: with fewer, folds have nothing to learn from. */
export const outcomesMin = 50;
const outerFolds = 5;
const innerFolds = 3;
/** Of a policy that sees no answers. */
const lengthShare = 0.35;

/** What is tried; cross-validation inside of the learning data chooses, so that what is judged was never looked at. */
const candidates: readonly FitOptions[] = [
  { numberPenalty: 100, wordPenalty: undefined },
  { numberPenalty: 100, wordPenalty: 10 },
  { numberPenalty: 100, wordPenalty: 3 },
];

/** A learned model, and what it says of the questions when it was learned without them. */
export interface Learned {
  readonly model: GainModel;
  /** By question: the gain as models predicted it that had not seen the question. */
  readonly gains: readonly number[];
  readonly options: FitOptions;
}

export interface LearnParts {
  readonly seed: number;
  readonly onProgress: (share: number) => void;
}

/**
 * Learns to tell which questions are worth the strong model. Judged by nested cross-validation: the gains of each fifth come from
 * models that saw neither its questions nor their part in the choice of penalties. The model itself is then learned from everything.
 */
export function learn(outcomes: readonly Outcome[], by: JudgedBy, { seed, onProgress }: LearnParts): Learned {
  const observations = outcomes.map((outcome) => observe(outcome, by));
  const foldOf = toFolds(outcomes, outerFolds, seed);
  const gains = new Array<number>(outcomes.length);
  for (let fold = 0; fold < outerFolds; fold += 1) {
    onProgress(fold / (outerFolds + 1));
    const seen = indices(foldOf, (other) => other !== fold);
    const options = choose(pick(outcomes, seen), pick(observations, seen), seed + 1 + fold, by);
    const model = fit(pick(outcomes, seen), pick(observations, seen), options, by);
    for (const index of indices(foldOf, (other) => other === fold)) gains[index] = predict(model, observations[index] as Observation).gain;
  }
  onProgress(outerFolds / (outerFolds + 1));
  const options = choose(outcomes, observations, seed, by);
  onProgress(1);
  return { model: { ...fit(outcomes, observations, options, by), gains: percentiles(gains) }, gains, options };
}

/** Whether all outcomes hold what this judge looks at. */
export function canLearnBy(outcomes: readonly Outcome[], by: JudgedBy): boolean {
  return by === 'prompt' || outcomes.every(({ cheapAnswer, numbers }) => cheapAnswer !== undefined || numbers?.answer !== undefined);
}

/** How long the prompt is, in any unit that grows with it. */
export function lengthOf(outcome: Outcome): number {
  return observe(outcome, 'prompt').numbers['characters'] as number;
}

export function observe({ prompt, cheapAnswer = '', cheapScores, numbers }: Outcome, by: JudgedBy): Observation {
  if (numbers)
    return {
      numbers: { ...numbers.prompt, ...(by === 'answer' && { ...numbers.answer, ...scoreNumbers(cheapScores) }) },
      words: undefined,
    };
  return by === 'prompt' ? observePrompt(prompt) : observeAnswer(prompt, cheapAnswer, cheapScores);
}

/** The candidate whose gains, of questions not learned from, give the best answers over all shares of strong calls. */
function choose(outcomes: readonly Outcome[], observations: readonly Observation[], seed: number, by: JudgedBy): FitOptions {
  const foldOf = toFolds(outcomes, innerFolds, seed);
  const scored = candidates.map((options) => {
    const gains = new Array<number>(outcomes.length);
    for (let fold = 0; fold < innerFolds; fold += 1) {
      const seen = indices(foldOf, (other) => other !== fold);
      const model = fit(pick(outcomes, seen), pick(observations, seen), options, by);
      for (const index of indices(foldOf, (other) => other === fold))
        gains[index] = predict(model, observations[index] as Observation).gain;
    }
    const curve = curveOf(outcomes, gains);
    return { options, accuracy: curve.reduce((sum, { accuracy }) => sum + accuracy, 0) / curve.length };
  });
  return scored.reduce((best, candidate) => (candidate.accuracy > best.accuracy ? candidate : best)).options;
}

function fit(outcomes: readonly Outcome[], observations: readonly Observation[], options: FitOptions, by: JudgedBy): GainModel {
  const of = (isRight: (outcome: Outcome) => boolean) => fitLogistic(observations, outcomes.map(isRight), options);
  const model = { cheap: of(({ cheapRight }) => cheapRight), strong: of(({ strongRight }) => strongRight), gains: [] };
  // Who has seen the answer has no need of it.
  return by === 'answer'
    ? model
    : {
        ...model,
        length: leanOnLength(
          observations,
          observations.map((observation) => predict(model, observation).gain),
        ),
      };
}

/**
 * As far as the gains spread, that of the length is added so much: it is worth something on any data, and what few outcomes teach is partly
 * chance.
 */
function leanOnLength(observations: readonly Observation[], gains: readonly number[]): NumberWeight {
  const { mean, deviation } = spreadOf(observations.map(({ numbers }) => numbers['characters'] as number));
  return { mean, deviation: Math.max(deviation, 1e-3), weight: lengthShare * spreadOf(gains).deviation };
}

function spreadOf(values: readonly number[]): { readonly mean: number; readonly deviation: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { mean, deviation: Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length) };
}

/** A question that was asked twice is in one fold: elsewhere, its answer would have been seen. */
function toFolds(outcomes: readonly Outcome[], folds: number, seed: number): number[] {
  const random = createRandom(seed);
  const prompts = [...new Set(outcomes.map(({ prompt }) => prompt))]
    .map((prompt) => ({ prompt, key: random() }))
    .sort((a, b) => a.key - b.key);
  const foldOf = new Map(prompts.map(({ prompt }, place) => [prompt, place % folds]));
  return outcomes.map(({ prompt }) => foldOf.get(prompt) as number);
}

function indices(foldOf: readonly number[], isWanted: (fold: number) => boolean): number[] {
  return [...foldOf.keys()].filter((index) => isWanted(foldOf[index] as number));
}

function pick<T>(values: readonly T[], wanted: readonly number[]): T[] {
  return wanted.map((index) => values[index] as T);
}

/** 101 values, falling: element i is exceeded by i percent. */
function percentiles(values: readonly number[]): number[] {
  const sorted = values.toSorted((a, b) => b - a);
  return Array.from({ length: 101 }, (_, percent) => sorted[Math.round(((sorted.length - 1) * percent) / 100)] as number);
}
