import { quantileOfSorted, toSorted } from '@open-autoglm/statistics';
import type { OutcomeKind, RequestOutcome } from '../outcome.ts';
import type { ReplayResult, ServiceLevelObjective } from '../result.ts';
import type { ErrorCount, Quantiles, ReplaySummary, TargetSummary } from '../summary.ts';
import { compare } from './compare.ts';
import type { Machine } from './machine.ts';
import { activeSecondsOf, isGood, latenciesOf, misses, type LatencyName } from './measures.ts';

/** Different errors that are told, and that are counted: a server that puts an id in each of them must not fill the memory. */
const errorsToldMax = 20;
const errorsCountedMax = 1000;
const segmentsMax = 32;
/** There is no rate within less. */
const secondsMin = 1e-6;

/** All figures of a replay. A pure function; of a million requests it takes seconds. */
export function summarise(result: ReplayResult, machine: Machine): ReplaySummary {
  const { startedAt, end, wallMs, warnings, trace, options, generator } = result;
  const run = { started_at: startedAt, end, wall_s: wallMs / 1000, warnings, trace, settings: options, generator, machine };
  const [first, second] = result.targets.map((_, target) => summariseTarget(result, target));
  if (!first) throw new Error('a replay without a target');
  return second ? { ...run, targets: [first, second], comparison: compare(result) } : { ...run, ...first };
}

function summariseTarget({ targets, options, outcomes: all, wallMs }: ReplayResult, target: number): TargetSummary {
  const outcomes = targets.length === 1 ? all : all.filter((outcome) => outcome.target === target);
  const answered = outcomes.filter(({ outcome }) => outcome === 'answered');
  const seconds = targets.length === 1 ? wallMs / 1000 : activeSecondsOf(outcomes);
  const perSecond = (count: number) => (seconds > secondsMin ? count / seconds : 0);
  const good = outcomes.filter((outcome) => isGood(outcome, options.slo)).length;
  const sumOf = (value: (outcome: RequestOutcome) => number | undefined) =>
    outcomes.reduce((sum, outcome) => sum + (value(outcome) ?? 0), 0);
  const promptTokens = sumOf((outcome) => outcome.promptTokens);
  const checked = outcomes.filter(({ answerCorrect }) => answerCorrect !== undefined);
  return {
    target: targets[target] as ReplayResult['targets'][number],
    requests: outcomes.length,
    outcomes: countKinds(outcomes),
    ...countErrors(outcomes),
    ttft_ms: quantilesOf(latenciesOf(answered, 'ttft')),
    tpot_ms: quantilesOf(latenciesOf(answered, 'tpot')),
    e2e_ms: quantilesOf(latenciesOf(answered, 'e2e')),
    goodput_rps: perSecond(good),
    ...(options.slo && outcomes.length > 0 && { slo_attainment: good / outcomes.length, slo_misses: countMisses(answered, options.slo) }),
    active_s: seconds,
    answered_rps: perSecond(answered.length),
    output_tokens_per_second: perSecond(sumOf((outcome) => outcome.outputTokens)),
    ...(outcomes.some((outcome) => outcome.promptTokens !== undefined) && { prompt_tokens_per_second: perSecond(promptTokens) }),
    ...(promptTokens > 0 &&
      outcomes.some(({ cachedTokens }) => cachedTokens !== undefined) && {
        cached_share: sumOf((outcome) => outcome.cachedTokens) / promptTokens,
      }),
    ...(checked.length > 0 && {
      answers: { checked: checked.length, correct: checked.filter(({ answerCorrect }) => answerCorrect).length },
    }),
    ...segmentsOf(answered),
  };
}

/** `null` for no values. */
export function quantilesOf(values: readonly number[]): Quantiles | null {
  if (values.length === 0) return null;
  const sorted = toSorted(values);
  const at = (q: number) => quantileOfSorted(sorted, q);
  const mean = sorted.reduce((sum, value) => sum + value, 0) / sorted.length;
  return { p50: at(0.5), p90: at(0.9), p95: at(0.95), p99: at(0.99), mean, max: at(1), count: sorted.length };
}

function countKinds(outcomes: readonly RequestOutcome[]): Record<OutcomeKind, number> {
  const counts = { answered: 0, refused: 0, failed: 0, cut: 0, 'timed-out': 0, abandoned: 0 };
  for (const { outcome } of outcomes) counts[outcome] += 1;
  return counts;
}

function countMisses(answered: readonly RequestOutcome[], slo: ServiceLevelObjective): NonNullable<TargetSummary['slo_misses']> {
  const count = (name: LatencyName) => answered.filter((outcome) => misses(outcome, name, slo)).length;
  return { ttft_ms: count('ttft'), tpot_ms: count('tpot'), e2e_ms: count('e2e') };
}

function countErrors(outcomes: readonly RequestOutcome[]): Pick<TargetSummary, 'errors' | 'other_errors'> {
  const counts = new Map<string, ErrorCount & { count: number }>();
  let uncounted = 0;
  for (const { outcome, status, error: told } of outcomes) {
    if (outcome === 'answered') continue;
    const error = told ?? (status === undefined ? outcome : `HTTP ${status}`);
    const key = `${outcome} ${status ?? ''} ${error}`;
    const known = counts.get(key);
    if (known) known.count += 1;
    else if (counts.size < errorsCountedMax) counts.set(key, { outcome, error, ...(status !== undefined && { status }), count: 1 });
    else uncounted += 1;
  }
  const sorted = [...counts.values()].sort((a, b) => b.count - a.count);
  const others = sorted.slice(errorsToldMax).reduce((sum, { count }) => sum + count, uncounted);
  return { errors: sorted.slice(0, errorsToldMax), ...(others > 0 && { other_errors: others }) };
}

function segmentsOf(answered: readonly RequestOutcome[]): Pick<TargetSummary, 'segments_ms'> {
  const values = new Map<string, number[]>();
  for (const { timings = {} } of answered) {
    for (const [key, value] of Object.entries(timings)) {
      if (!Number.isFinite(value)) continue;
      const name = key.replace(/_ms$/, '');
      const list = values.get(name);
      if (list) list.push(value);
      else if (values.size < segmentsMax) values.set(name, [value]);
    }
  }
  return values.size === 0
    ? {}
    : { segments_ms: Object.fromEntries([...values].map(([name, list]) => [name, quantilesOf(list) as Quantiles])) };
}
