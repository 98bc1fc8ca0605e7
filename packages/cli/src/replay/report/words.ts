import type { OutcomeKind } from '../outcome.ts';
import type { ReplayResult, ServiceLevelObjective } from '../result.ts';
import type { Comparison, CompareSummary, ReplaySummary, TargetSummary } from '../summary.ts';
import { latencyNames, objectiveOf } from './measures.ts';
import { slicesMin } from './compare.ts';
import { formatCount, formatDuration, formatNumber, formatShare } from './text.ts';

/** Sentences and names that the table and the page have in common. */

export const latencyTitles = { ttft: 'TTFT', tpot: 'TPOT', e2e: 'end to end' } as const;

const errorKinds: readonly OutcomeKind[] = ['refused', 'failed', 'cut', 'timed-out', 'abandoned'];

export function targetsOf(summary: ReplaySummary): readonly TargetSummary[] {
  return isComparison(summary) ? summary.targets : [summary];
}

export function isComparison(summary: ReplaySummary): summary is ReplaySummary & CompareSummary {
  return 'comparison' in summary;
}

/** `TTFT ≤ 200 ms and TPOT ≤ 50 ms`; empty for none. */
export function describeSlo(slo: ServiceLevelObjective | undefined): string {
  return latencyNames
    .map((name) => ({ name, limit: objectiveOf(slo, name) }))
    .filter(({ limit }) => limit !== undefined)
    .map(({ name, limit }) => `${latencyTitles[name]} ≤ ${formatNumber(limit)} ms`)
    .join(' and ');
}

/** `refused 6, cut 4`; `none` where all was answered. */
export function describeErrors({ outcomes }: TargetSummary): string {
  return (
    errorKinds
      .filter((kind) => outcomes[kind] > 0)
      .map((kind) => `${kind} ${formatNumber(outcomes[kind])}`)
      .join(', ') || 'none'
  );
}

/** `ttft_ms.p99` → `TTFT p99` and its unit. */
export function nameFigure(figure: string): { readonly name: string; readonly unit: string } {
  const [group = '', quantile] = figure.split('.');
  const latency = latencyNames.find((name) => group === `${name}_ms`);
  if (latency) return { name: `${latencyTitles[latency]} ${quantile}`, unit: 'ms' };
  if (figure === 'goodput_rps') return { name: 'goodput', unit: 'requests/s' };
  if (figure === 'answered_rps') return { name: 'answered', unit: 'requests/s' };
  return { name: 'output', unit: 'tokens/s' };
}

/** What may be concluded from one line of a comparison. */
export function conclude({ better, ratio, slices }: Comparison): string {
  if (better !== 'undecided') return `${better.toUpperCase()} is better`;
  if (!ratio) return 'nothing to compare';
  return slices < slicesMin ? `too few slices to tell (${slices} of ${slicesMin})` : 'no difference shown';
}

/** What the reader must know before believing the figures. */
export function noticesOf(summary: ReplaySummary): string[] {
  const { end, warnings, trace, generator } = summary;
  const late = generator.latenessMs;
  return [
    ...(end === 'interrupted' ? ['The replay was interrupted: the figures are of what had been due by then.'] : []),
    ...(end === 'silent' ? ['A server took connections and sent nothing at all; the rest of the trace was not waited for.'] : []),
    ...warnings,
    ...describeDamage(trace),
    ...(late && late.p99 > latenessMax
      ? [
          `The generator itself was late: 1 % of requests were sent ${formatDuration(late.p99)} or more after they were due. Latencies include it.`,
        ]
      : []),
    ...targetsOf(summary).flatMap((target) => {
      const { answered } = target.outcomes;
      const name = isComparison(summary) ? `${target.target.name}: ` : '';
      if (target.requests === 0 || answered === target.requests) return [];
      if (answered === 0) return [`${name}None of ${formatCount(target.requests, 'request')} was answered.`];
      return [
        `${name}Not answered: ${formatNumber(target.requests - answered)} of ${formatCount(target.requests, 'request')} (${formatShare(1 - answered / target.requests)}); latencies are those of the others.`,
      ];
    }),
  ];
}

/** Milliseconds; above it the instrument is part of what it measures. */
const latenessMax = 10;

function describeDamage({ brokenLineCount, brokenLines, clockBackwardsCount, clockBackwardsLines }: ReplayResult['trace']): string[] {
  const more = (count: number, told: number) => (count > told ? ', …' : '');
  const broken = brokenLines
    .slice(0, 3)
    .map(({ line, reason }) => `${line}: ${reason}`)
    .join('; ');
  const backwards = clockBackwardsLines.slice(0, 3).join(', ');
  return [
    ...(brokenLineCount > 0
      ? [`${formatCount(brokenLineCount, 'broken line')} of the trace skipped (line ${broken}${more(brokenLineCount, 3)}).`]
      : []),
    ...(clockBackwardsCount > 0
      ? [
          `The trace's clock went back ${formatCount(clockBackwardsCount, 'time')} (line ${backwards}${more(clockBackwardsCount, 3)}); those requests were sent in the order of the lines.`,
        ]
      : []),
  ];
}
