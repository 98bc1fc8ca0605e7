import { createRandom, quantileOfWeighted, resample, type Estimate } from '@open-autoglm/statistics';
import type { RequestOutcome } from '../outcome.ts';
import type { ReplayResult, ServiceLevelObjective } from '../result.ts';
import type { Comparison } from '../summary.ts';
import { isGood, latencyNames, latencyOf, spansOf } from './measures.ts';

const quantiles = [
  ['p50', 0.5],
  ['p99', 0.99],
] as const;
const rates = ['goodput_rps', 'answered_rps', 'output_tokens_per_second'] as const;
/** In the order of what a side measures. */
const figures = [...latencyNames.flatMap((name) => quantiles.map(([quantile]) => `${name}_ms.${quantile}`)), ...rates];

/** The bootstrap's intervals of fewer units are too narrow to conclude from. */
export const slicesMin = 6;
const resamplesMax = 2000;
const resamplesMin = 200;
/** Values that are gone through in all: keeps the report of a million requests within seconds. */
const stepsMax = 4e8;
/** Same outcomes, same interval. */
const seed = 1;

/**
 * Two targets slice by slice: both had the same requests, one after the other, so that what slows the machine for minutes slows both.
 * A resample draws slices, not requests: those of one slice have waited in one queue, and are no independent experiments.
 */
export function compare({ outcomes, options }: Pick<ReplayResult, 'outcomes' | 'options'>): Comparison[] {
  const units = new Map<number, number>();
  for (const { slice } of outcomes) if (!units.has(slice)) units.set(slice, units.size);
  const [a, b] = [0, 1].map((target) =>
    createSide(
      outcomes.filter((outcome) => outcome.target === target),
      units,
      options.slo,
    ),
  ) as [Side, Side];
  const statistics = (drawn: Uint32Array) => {
    const ofA = a.measure(drawn);
    const ofB = b.measure(drawn);
    return [...ofA, ...ofB, ...ofB.map((value, index) => value / (ofA[index] as number))];
  };
  const stepsEach = (a.valueCount + b.valueCount) * 3 + 1;
  const resamples = Math.max(resamplesMin, Math.min(resamplesMax, Math.floor(stepsMax / stepsEach)));
  const estimates = resample(statistics, { unitCount: units.size, random: createRandom(seed), resamples });
  return figures.map((figure, index) => {
    const [valueA, valueB, ratio] = [0, 1, 2].map((part) => estimates[part * figures.length + index]) as [Estimate, Estimate, Estimate];
    const { value, low, high } = ratio;
    return {
      figure,
      a: finite(valueA.value),
      b: finite(valueB.value),
      ratio: [value, low, high].every(Number.isFinite) ? { value, low, high } : null,
      slices: units.size,
      better: units.size < slicesMin ? 'undecided' : judge(ratio, isRate(figure)),
    };
  });
}

export function isRate(figure: string): boolean {
  return (rates as readonly string[]).includes(figure);
}

/** Of rates more is better, of latencies less. An interval that holds 1 decides nothing, nor does one that is not finite. */
function judge({ low, high }: Estimate, moreIsBetter: boolean): Comparison['better'] {
  if (!(Number.isFinite(low) && Number.isFinite(high)) || (low <= 1 && high >= 1)) return 'undecided';
  return low > 1 === moreIsBetter ? 'b' : 'a';
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

interface Side {
  /** Latencies that a resample goes through. */
  readonly valueCount: number;
  /** Every figure, when slice i was drawn `drawn[i]` times; NaN where there is none. */
  measure(drawn: Uint32Array): readonly number[];
}

function createSide(outcomes: readonly RequestOutcome[], units: ReadonlyMap<number, number>, slo: ServiceLevelObjective | undefined): Side {
  const unitOf = ({ slice }: Pick<RequestOutcome, 'slice'>) => units.get(slice) as number;
  const answered = outcomes.filter(({ outcome }) => outcome === 'answered');
  const samples = latencyNames.map((name) => {
    const entries = answered
      .map((outcome) => ({ value: latencyOf(outcome, name) ?? NaN, unit: unitOf(outcome) }))
      .filter(({ value }) => !Number.isNaN(value));
    entries.sort((x, y) => x.value - y.value);
    return {
      values: Float64Array.from(entries, ({ value }) => value),
      units: Uint32Array.from(entries, ({ unit }) => unit),
      weights: new Uint32Array(entries.length),
    };
  });
  const sumByUnit = (list: readonly RequestOutcome[], value: (outcome: RequestOutcome) => number) => {
    const sums = new Float64Array(units.size);
    for (const outcome of list) sums[unitOf(outcome)] = (sums[unitOf(outcome)] as number) + value(outcome);
    return sums;
  };
  const seconds = new Float64Array(units.size);
  for (const [slice, { fromMs, toMs }] of spansOf(outcomes)) seconds[unitOf({ slice })] = (toMs - fromMs) / 1000;
  const counts = [
    sumByUnit(outcomes, (outcome) => (isGood(outcome, slo) ? 1 : 0)),
    sumByUnit(answered, () => 1),
    sumByUnit(outcomes, ({ outputTokens }) => outputTokens),
  ];
  return {
    valueCount: samples.reduce((sum, { values }) => sum + values.length, 0),
    measure(drawn) {
      const latencies = samples.flatMap(({ values, units, weights }) => {
        for (let index = 0; index < units.length; index += 1) weights[index] = drawn[units[index] as number] as number;
        return quantiles.map(([, q]) => quantileOfWeighted(values, weights, q));
      });
      const time = weightedSum(seconds, drawn);
      return [...latencies, ...counts.map((count) => (time > 0 ? weightedSum(count, drawn) / time : NaN))];
    },
  };
}

function weightedSum(values: Float64Array, weights: Uint32Array): number {
  return values.reduce((sum, value, index) => sum + value * (weights[index] as number), 0);
}
