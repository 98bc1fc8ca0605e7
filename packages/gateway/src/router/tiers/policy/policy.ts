import { answerFeatures } from './answer-features.ts';
import { hashedWords } from './hashed-words.ts';
import { probability, standardised, type LinearModel, type NumberWeight, type Observation } from './linear-model.ts';
import { promptFeatures } from './prompt-features.ts';

/** When a question is judged: before the cheap model has answered it, or by its answer. */
export type JudgedBy = 'prompt' | 'answer';

/** Two models and what their difference means. */
export interface GainModel {
  /** Whether the cheap model's answer is right. */
  readonly cheap: LinearModel;
  /** Whether the strong model's would be. */
  readonly strong: LinearModel;
  /** What the prompt's length alone adds to the gain; absent: nothing. */
  readonly length?: NumberWeight | undefined;
  /** Element i: the gain that i percent of the questions exceed, of questions that the model had not seen; 101 of them, falling. */
  readonly gains: readonly number[];
}

/** A learned policy: which questions are worth a strong model. */
export interface CascadePolicy {
  readonly prompt: GainModel;
  /** Absent where the data held no answers to learn from. */
  readonly answer?: GainModel | undefined;
}

/** What a policy thinks of one question. */
export interface Prediction {
  readonly cheap: number;
  readonly strong: number;
  /** How much likelier a right answer becomes, with what the length adds. */
  readonly gain: number;
}

export function observePrompt(prompt: string): Observation {
  return { numbers: promptFeatures(prompt), words: hashedWords(prompt) };
}

/** `scores`: what scorers said of the answer, for models that were learned with them. */
export function observeAnswer(prompt: string, answer: string, scores: Readonly<Record<string, number>> = {}): Observation {
  const { numbers, words } = observePrompt(prompt);
  return { numbers: { ...numbers, ...answerFeatures(prompt, answer), ...scoreNumbers(scores) }, words };
}

export function predict({ cheap, strong, length }: GainModel, observation: Observation): Prediction {
  const likely = { cheap: probability(cheap, observation), strong: probability(strong, observation) };
  const characters = observation.numbers['characters'];
  const lean = length && characters !== undefined ? length.weight * standardised(characters, length.mean, length.deviation) : 0;
  return { ...likely, gain: likely.strong - likely.cheap + lean };
}

/** The gain above which this share of the questions lies; 0: none does. */
export function gainAt({ gains }: GainModel, strongShare: number): number {
  if (strongShare <= 0) return Infinity;
  const place = Math.min(1, strongShare) * 100;
  const below = gains[Math.floor(place)] as number;
  return below + ((gains[Math.ceil(place)] as number) - below) * (place - Math.floor(place));
}

/** Scores as an observation has them. */
export function scoreNumbers(scores: Readonly<Record<string, number>> = {}): Record<string, number> {
  return Object.fromEntries(Object.entries(scores).map(([name, value]) => [`score_${name}`, value]));
}
