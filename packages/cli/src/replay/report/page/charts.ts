import { quantileOfSorted, toSorted } from '@open-autoglm/statistics';
import type { OutcomeKind } from '../../outcome.ts';
import type { ReplayResult, ServiceLevelObjective } from '../../result.ts';
import { latenciesOf, latencyNames, latencyOf, objectiveOf, type LatencyName } from '../measures.ts';
import { formatNumber } from '../text.ts';
import { describeSlo, latencyTitles } from '../words.ts';
import { chart, type Axis, type LegendEntry, type Mark, type Point } from './chart.ts';
import type { Markup } from './markup.ts';
import { countScale, latencyScale, linearScale, percentileScale, timeScale } from './scale.ts';
import { createTimeline, lengthOf, placeInTime, quantileLine, type Timeline } from './timeline.ts';

/** Dots of one target in one chart; of more requests a part is drawn, the slowest of each stretch among them. */
const dotsMax = 3000;
const latencyTitlesZh = { ttft: '首字延迟', tpot: '每词元间隔', e2e: '总时长' } as const;
const letters = ['A', 'B'] as const;

interface ChartData {
  readonly timelines: readonly Timeline[];
  readonly time: Axis;
  readonly slo: ServiceLevelObjective | undefined;
  readonly isComparison: boolean;
}

/** All charts of the page; those that would be empty are left out. */
export function drawCharts(result: ReplayResult): Markup[] {
  const placed = result.targets.map((_, target) => placeInTime(result, target));
  const seconds = lengthOf(placed);
  const data: ChartData = {
    timelines: placed.map((outcomes) => createTimeline(outcomes, seconds, result.options.slo)),
    time: { scale: timeScale(seconds), format: formatSeconds },
    slo: result.options.slo,
    isComparison: result.targets.length > 1,
  };
  if (data.timelines.every(({ outcomes }) => outcomes.length === 0)) return [];
  const named = latencyNames.filter((name) =>
    data.timelines.some(({ answered }) => answered.some(({ outcome }) => latencyOf(outcome, name) !== undefined)),
  );
  return [
    ...named.map((name) => latencyOverTime(data, name)),
    ...named.map((name) => latencyByPercentile(data, name)),
    throughput(data),
    inFlight(data),
    ...(data.slo ? [attainment(data, data.slo)] : []),
    ...data.timelines.flatMap((timeline, target) => errorsOverTime(data, timeline, target)),
  ];
}

function latencyOverTime({ timelines, time, slo, isComparison }: ChartData, name: LatencyName): Markup {
  const values = valuesOf(timelines, name);
  const limit = objectiveOf(slo, name);
  const scale = latencyScale(limit === undefined ? values : [...values, limit], quantileOfSorted(toSorted(values), 0.5));
  const marks = timelines.flatMap((timeline, target): Mark[] => [
    ...(isComparison ? [] : [{ kind: 'dots', style: `s${target}`, points: dotsOf(timeline, name) } as const]),
    { kind: 'line', style: `s${target} strong`, points: quantileLine(timeline, name, 0.5) },
    { kind: 'line', style: `s${target} dashed`, points: quantileLine(timeline, name, 0.99) },
  ]);
  return chart({
    title: `${latencyTitles[name]} over time, ms${scale.isLog ? ', logarithmic' : ''}`,
    titleZh: latencyTitlesZh[name],
    x: time,
    y: { scale, format: formatNumber },
    marks: [...marks, ...limitMark(limit)],
    legend: timelines.flatMap((_, target): LegendEntry[] => [
      { style: `s${target} strong`, text: `${isComparison ? `${letters[target]} ` : ''}p50` },
      { style: `s${target} dashed`, text: `${isComparison ? `${letters[target]} ` : ''}p99` },
    ]),
  });
}

/** The distribution's inverse, with its tail drawn out: a straight look at p99 and p99.9. */
function latencyByPercentile({ timelines, slo, isComparison }: ChartData, name: LatencyName): Markup {
  const values = valuesOf(timelines, name);
  const limit = objectiveOf(slo, name);
  const y = latencyScale(limit === undefined ? values : [...values, limit], quantileOfSorted(toSorted(values), 0.5));
  const samples = timelines.map(({ answered }) =>
    toSorted(
      latenciesOf(
        answered.map(({ outcome }) => outcome),
        name,
      ),
    ),
  );
  const shares = sharesUpTo(Math.max(...samples.map(({ length }) => length)));
  return chart({
    title: `${latencyTitles[name]} by percentile, ms${y.isLog ? ', logarithmic' : ''}`,
    titleZh: `${latencyTitlesZh[name]}分位数`,
    x: {
      scale: percentileScale(Math.max(...samples.map(({ length }) => length))),
      format: (share) => `${Number((share * 100).toFixed(2))} %`,
    },
    y: { scale: y, format: formatNumber },
    marks: [
      ...samples.map((sample, target): Mark => ({
        kind: 'line',
        style: `s${target} strong`,
        points: shares
          .filter((share) => share <= 1 - 1 / sample.length || share === 0)
          .map((share) => ({ x: share, y: quantileOfSorted(sample, share) })),
      })),
      ...limitMark(limit),
    ],
    legend: lettersOf(isComparison),
  });
}

function throughput({ timelines, time, slo, isComparison }: ChartData): Markup {
  const points = ({ bins, binSeconds }: Timeline, value: 'due' | 'answered' | 'good'): Point[] =>
    bins.map((bin) => ({ x: bin.from + binSeconds / 2, y: bin[value] }));
  const max = Math.max(...timelines.flatMap(({ bins }) => bins.flatMap(({ due, answered }) => [due, answered])));
  const first = timelines[0] as Timeline;
  return chart({
    title: 'Requests per second',
    titleZh: '吞吐',
    x: time,
    y: { scale: linearScale(max), format: formatNumber },
    marks: [
      { kind: 'line', style: 'due', points: points(first, 'due') },
      ...timelines.map((timeline, target): Mark => ({
        kind: 'line',
        style: `s${target} strong`,
        points: points(timeline, slo ? 'good' : 'answered'),
      })),
    ],
    legend: [
      { style: 'due', text: 'due' },
      ...timelines.map((_, target) => ({
        style: `s${target} strong`,
        text: `${isComparison ? `${letters[target]} ` : ''}${slo ? 'answered within the SLO' : 'answered'}`,
      })),
    ],
  });
}

function inFlight({ timelines, time, isComparison }: ChartData): Markup {
  return chart({
    title: 'Requests in flight, at most',
    titleZh: '并发',
    x: time,
    y: {
      scale: countScale(Math.max(...timelines.flatMap(({ bins }) => bins.map(({ inFlightMax }) => inFlightMax)))),
      format: formatNumber,
    },
    marks: timelines.map(({ bins, binSeconds }, target): Mark => ({
      kind: 'line',
      style: `s${target} strong`,
      points: bins.map(({ from, inFlightMax }) => ({ x: from + binSeconds / 2, y: inFlightMax })),
    })),
    legend: lettersOf(isComparison),
  });
}

function attainment({ timelines, time, isComparison }: ChartData, slo: ServiceLevelObjective): Markup {
  return chart({
    title: 'SLO attainment',
    titleZh: '达标率',
    x: time,
    y: { scale: linearScale(1, 4), format: (share) => `${Math.round(share * 100)} %` },
    marks: timelines.flatMap(({ bins, binSeconds }, target): Mark[] => {
      const points = bins.map((bin) => ({ x: bin.from + binSeconds / 2, y: bin.attainment }));
      return [
        { kind: 'dots', style: `s${target} solid`, points: points.filter(({ y }) => !Number.isNaN(y)) },
        { kind: 'line', style: `s${target} strong`, points },
      ];
    }),
    legend: isComparison ? lettersOf(isComparison) : [{ style: 's0 strong', text: describeSlo(slo) }],
  });
}

const errorKinds: readonly Exclude<OutcomeKind, 'answered'>[] = ['refused', 'failed', 'cut', 'timed-out', 'abandoned'];

function errorsOverTime({ time, isComparison }: ChartData, { bins, binSeconds }: Timeline, target: number): Markup[] {
  const present = errorKinds.filter((kind) => bins.some(({ errors }) => errors[kind]));
  if (present.length === 0) return [];
  const heightOf = ({ errors }: Timeline['bins'][number], kinds: readonly OutcomeKind[]) =>
    kinds.reduce((sum, kind) => sum + (errors[kind] ?? 0), 0);
  return [
    chart({
      title: `${isComparison ? `${letters[target]}: requests ` : 'Requests '}not answered`,
      titleZh: '失败',
      x: time,
      y: { scale: countScale(Math.max(...bins.map((bin) => heightOf(bin, present)))), format: formatNumber },
      marks: present.map((kind, index): Mark => ({
        kind: 'bars',
        style: kind,
        width: binSeconds,
        points: bins
          .filter(({ errors }) => errors[kind])
          .map((bin) => ({ x: bin.from, base: heightOf(bin, present.slice(0, index)), y: heightOf(bin, present.slice(0, index + 1)) })),
      })),
      legend: present.map((kind) => ({ style: `${kind} swatch`, text: kind })),
    }),
  ];
}

/** Every k-th request, and the slowest of each k. */
function dotsOf({ answered }: Timeline, name: LatencyName): Point[] {
  const points = answered
    .map(({ outcome, dueAt }) => ({ x: dueAt, y: latencyOf(outcome, name) ?? NaN }))
    .filter(({ y }) => !Number.isNaN(y));
  if (points.length <= dotsMax) return points;
  points.sort((a, b) => a.x - b.x);
  const stretch = Math.ceil((points.length * 2) / dotsMax);
  return Array.from({ length: Math.ceil(points.length / stretch) }, (_, index) =>
    points.slice(index * stretch, (index + 1) * stretch),
  ).flatMap((few) => [few[0] as Point, few.reduce((slowest, point) => (point.y > slowest.y ? point : slowest))]);
}

/** Shares at which a distribution is drawn: evenly on the percentile scale, to the last that so many values can tell. */
function sharesUpTo(count: number): number[] {
  const nines = Math.log10(Math.max(count, 1));
  return Array.from({ length: 121 }, (_, index) => 1 - 10 ** ((-index * nines) / 120));
}

function valuesOf(timelines: readonly Timeline[], name: LatencyName): number[] {
  return timelines.flatMap(({ answered }) =>
    latenciesOf(
      answered.map(({ outcome }) => outcome),
      name,
    ),
  );
}

function limitMark(limit: number | undefined): Mark[] {
  return limit === undefined ? [] : [{ kind: 'limit', y: limit, label: `SLO ${formatNumber(limit)} ms` }];
}

function lettersOf(isComparison: boolean): LegendEntry[] {
  return isComparison ? letters.map((letter, target) => ({ style: `s${target} strong`, text: letter })) : [];
}

function formatSeconds(seconds: number): string {
  if (seconds < 60) return `${Number(seconds.toFixed(2))} s`;
  const minutes = seconds / 60;
  return minutes < 100 ? `${Number(minutes.toFixed(1))} min` : `${Number((minutes / 60).toFixed(1))} h`;
}
