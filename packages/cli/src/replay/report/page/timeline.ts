import { quantile } from '@open-autoglm/statistics';
import type { OutcomeKind, RequestOutcome } from '../../outcome.ts';
import type { ReplayResult, ServiceLevelObjective } from '../../result.ts';
import { isGood, latencyOf, spansOf, type LatencyName } from '../measures.ts';

/** The requests of one target along the time of the trace. */
export interface Timeline {
  readonly outcomes: readonly TimedOutcome[];
  readonly answered: readonly TimedOutcome[];
  /** Seconds of the chart that one bin takes. */
  readonly binSeconds: number;
  readonly bins: readonly Bin[];
}

/**
 * With the moments in seconds on the charts' axis. Two targets have their slices in turn; on the axis they lie one over the other,
 * where the trace has them, so that what both did with the same requests can be compared by eye.
 */
export interface TimedOutcome {
  readonly outcome: RequestOutcome;
  readonly dueAt: number;
  readonly sentAt: number | undefined;
  readonly endedAt: number;
}

export interface Bin {
  readonly from: number;
  /** Requests that were due, that ended with an answer, and of those the ones within the objective, per second. */
  readonly due: number;
  readonly answered: number;
  readonly good: number;
  readonly inFlightMax: number;
  /** Of requests that were due in the bin: 0 … 1, NaN for none. */
  readonly attainment: number;
  /** How many did not end as they should, by the time of their end. */
  readonly errors: Readonly<Partial<Record<OutcomeKind, number>>>;
}

const binsMax = 100;
const binLengths = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400];

/** The length of the charts' axis, in seconds. */
export function lengthOf(timelines: readonly TimedOutcome[][]): number {
  return timelines.flat().reduce((latest, { endedAt, dueAt }) => Math.max(latest, endedAt, dueAt), 0);
}

export function placeInTime({ outcomes, targets, options }: ReplayResult, target: number): TimedOutcome[] {
  const own = outcomes.filter((outcome) => outcome.target === target);
  const spans = targets.length > 1 ? spansOf(own) : undefined;
  return own.map((outcome) => {
    const shiftMs = spans ? outcome.slice * (options.blockMs ?? 0) - (spans.get(outcome.slice)?.fromMs ?? 0) : 0;
    const place = (ms: number) => (ms + shiftMs) / 1000;
    return {
      outcome,
      dueAt: place(outcome.dueAtMs),
      sentAt: outcome.sentAtMs === undefined ? undefined : place(outcome.sentAtMs),
      endedAt: place(outcome.endedAtMs),
    };
  });
}

export function createTimeline(outcomes: readonly TimedOutcome[], seconds: number, slo: ServiceLevelObjective | undefined): Timeline {
  const binSeconds = binLengths.find((length) => seconds / length <= binsMax) ?? seconds / binsMax;
  const count = Math.max(1, Math.ceil(seconds / binSeconds));
  const binOf = (at: number) => Math.min(count - 1, Math.max(0, Math.floor(at / binSeconds)));
  const bins = Array.from({ length: count }, () => ({
    due: 0,
    dueGood: 0,
    answered: 0,
    good: 0,
    errors: {} as Partial<Record<OutcomeKind, number>>,
  }));
  for (const { outcome, dueAt, endedAt } of outcomes) {
    const dueBin = bins[binOf(dueAt)] as (typeof bins)[number];
    const endBin = bins[binOf(endedAt)] as (typeof bins)[number];
    const good = isGood(outcome, slo) ? 1 : 0;
    dueBin.due += 1;
    dueBin.dueGood += good;
    endBin.good += good;
    if (outcome.outcome === 'answered') endBin.answered += 1;
    else endBin.errors[outcome.outcome] = (endBin.errors[outcome.outcome] ?? 0) + 1;
  }
  const inFlight = inFlightMaxima(outcomes, count, binOf);
  return {
    outcomes,
    answered: outcomes.filter(({ outcome }) => outcome.outcome === 'answered'),
    binSeconds,
    bins: bins.map(({ due, dueGood, answered, good, errors }, index) => ({
      from: index * binSeconds,
      due: due / binSeconds,
      answered: answered / binSeconds,
      good: good / binSeconds,
      inFlightMax: inFlight[index] as number,
      attainment: dueGood / due,
      errors,
    })),
  };
}

/** A quantile of the answered requests that were due in each bin, at the bin's middle; NaN where there is none. */
export function quantileLine({ answered, bins, binSeconds }: Timeline, name: LatencyName, q: number): { x: number; y: number }[] {
  const values = bins.map((): number[] => []);
  for (const { outcome, dueAt } of answered) {
    const value = latencyOf(outcome, name);
    if (value !== undefined) values[Math.min(values.length - 1, Math.floor(dueAt / binSeconds))]?.push(value);
  }
  return values.map((list, index) => ({ x: (index + 0.5) * binSeconds, y: quantile(list, q) }));
}

/** The most requests that ran at once, by bin: those before it that still run count too. */
function inFlightMaxima(outcomes: readonly TimedOutcome[], count: number, binOf: (at: number) => number): number[] {
  const changes = outcomes.flatMap(({ sentAt, endedAt }) =>
    sentAt === undefined
      ? []
      : [
          { at: sentAt, by: 1 },
          { at: endedAt, by: -1 },
        ],
  );
  changes.sort((a, b) => a.at - b.at || a.by - b.by);
  const maxima = Array.from({ length: count }, () => -1);
  let running = 0;
  let filled = 0;
  for (const { at, by } of changes) {
    const bin = binOf(at);
    for (; filled <= bin; filled += 1) maxima[filled] = running;
    running += by;
    maxima[bin] = Math.max(maxima[bin] as number, running);
  }
  return maxima.map((value) => Math.max(0, value));
}
