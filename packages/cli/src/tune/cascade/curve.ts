import { createRandom, resample, type Estimate } from '@open-autoglm/statistics';
import type { Outcome } from './outcomes.ts';

/** Shares of strong calls that a policy is judged at. */
export const strongShares = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9] as const;

const resamples = 1000;

export interface Point {
  readonly strongShare: number;
  readonly accuracy: number;
}

/** How many answers are right when the questions that score highest go to the strong model. */
export function curveOf(outcomes: readonly Outcome[], scores: readonly number[]): Point[] {
  const order = orderOf(scores);
  return strongShares.map((strongShare) => {
    const right = rightWith(outcomes, order, strongShare);
    return { strongShare, accuracy: right.reduce((sum, value) => sum + value, 0) / outcomes.length };
  });
}

/** At one share: how good each way to choose is, and how much better than the reference, with 95 % intervals over questions. */
export interface Comparison {
  readonly strongShare: number;
  readonly random: number;
  readonly oracle: number;
  readonly ways: readonly { readonly name: string; readonly accuracy: Estimate; readonly better: Estimate }[];
}

export interface Way {
  readonly name: string;
  /** By question; the highest go to the strong model. */
  readonly scores: readonly number[];
}

/** Compares ways to choose with the first of them, on the same questions. */
export function compare(outcomes: readonly Outcome[], ways: readonly [Way, ...Way[]], seed: number): Comparison[] {
  const cheap = shareOf(outcomes, ({ cheapRight }) => cheapRight);
  const strong = shareOf(outcomes, ({ strongRight }) => strongRight);
  const orders = ways.map(({ scores }) => orderOf(scores));
  const oracleOrder = orderOf(outcomes.map(({ cheapRight, strongRight }) => Number(strongRight) - Number(cheapRight)));
  return strongShares.map((strongShare) => {
    const rights = orders.map((order) => rightWith(outcomes, order, strongShare));
    const estimates = resample(
      (drawn) => {
        const means = rights.map((right) => meanOf(right, drawn));
        return [...means, ...means.map((mean) => mean - (means[0] as number))];
      },
      { unitCount: outcomes.length, random: createRandom(seed), resamples },
    );
    const oracle = rightWith(outcomes, oracleOrder, strongShare).reduce((sum, value) => sum + value, 0) / outcomes.length;
    return {
      strongShare,
      random: cheap + (strong - cheap) * strongShare,
      oracle,
      ways: ways.map(({ name }, index) => ({
        name,
        accuracy: estimates[index] as Estimate,
        better: estimates[ways.length + index] as Estimate,
      })),
    };
  });
}

export function shareOf(outcomes: readonly Outcome[], is: (outcome: Outcome) => boolean): number {
  return outcomes.filter(is).length / outcomes.length;
}

function orderOf(scores: readonly number[]): number[] {
  return [...scores.keys()].sort((a, b) => (scores[b] as number) - (scores[a] as number));
}

/** By question, 1 for a right answer. */
function rightWith(outcomes: readonly Outcome[], order: readonly number[], strongShare: number): Uint8Array {
  const right = new Uint8Array(outcomes.length);
  const strongCount = Math.round(outcomes.length * strongShare);
  for (const [place, index] of order.entries()) {
    const { cheapRight, strongRight } = outcomes[index] as Outcome;
    right[index] = Number(place < strongCount ? strongRight : cheapRight);
  }
  return right;
}

function meanOf(values: Uint8Array, drawn: Uint32Array): number {
  let sum = 0;
  let count = 0;
  for (let index = 0; index < values.length; index += 1) {
    sum += (values[index] as number) * (drawn[index] as number);
    count += drawn[index] as number;
  }
  return sum / count;
}
