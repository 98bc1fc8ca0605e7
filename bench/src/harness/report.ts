import type { Machine, Versions } from './machine.ts';
import { median, estimateRatio, createRandom, type Estimate } from '@open-autoglm/statistics';

/** One line of a suite: what was measured, beside what it is measured against. */
export interface Figure {
  readonly name: string;
  readonly unit: 'tokens/s' | 'texts/s' | 'tokens' | 'req/s' | 'requests' | 'ms' | 'µs' | 'MB' | 'bytes' | 'cores' | '%';
  /** The median of `samples`. */
  readonly value: number;
  readonly samples: readonly number[];
  readonly reference?: Contender;
  /** value ÷ reference, pair by pair. */
  readonly ratio?: Estimate;
  /** What no program on this machine can pass. */
  readonly limit?: number;
  readonly goal?: Goal;
  readonly goalMet?: boolean;
}

/** Another program's figure; without samples it was not measured in this run. */
export interface Contender {
  readonly name: string;
  readonly value: number;
  readonly samples?: readonly number[];
}

/** A bound on the ratio or, for figures without a reference, on the value. */
export interface Goal {
  readonly atLeast?: number;
  readonly below?: number;
}

export interface SuiteReport {
  readonly suite: string;
  /** ISO 8601. */
  readonly startedAt: string;
  /** Of the whole run. */
  readonly seconds: number;
  readonly machine: Machine;
  readonly versions: Versions;
  /** Everything that was chosen for the run and could have been otherwise. */
  readonly settings: Readonly<Record<string, string | number | boolean>>;
  readonly figures: readonly Figure[];
  /** How the figures were got, and what they do not say. */
  readonly notes: readonly string[];
  readonly warnings: readonly string[];
}

export interface FigureInput {
  readonly name: string;
  readonly unit: Figure['unit'];
  readonly samples: readonly number[];
  readonly reference?: { readonly name: string; readonly samples: readonly number[] } | Contender;
  readonly limit?: number | undefined;
  readonly goal?: Goal | undefined;
}

/** Same samples, same interval. */
const seed = 1;

export function figure({ name, unit, samples, reference, limit, goal }: FigureInput): Figure {
  const contender = reference && { ...reference, value: 'value' in reference ? reference.value : median(reference.samples) };
  const theirs = contender?.samples ?? samples.map(() => contender?.value ?? NaN);
  const ratio = contender && estimateRatio(samples, theirs, createRandom(seed));
  const value = median(samples);
  return {
    name,
    unit,
    value,
    samples,
    ...(contender && ratio && { reference: contender, ratio }),
    ...(limit !== undefined && { limit }),
    ...(goal && { goal, goalMet: meets(ratio?.value ?? value, goal) }),
  };
}

function meets(value: number, { atLeast = -Infinity, below = Infinity }: Goal): boolean {
  return value >= atLeast && value < below;
}
