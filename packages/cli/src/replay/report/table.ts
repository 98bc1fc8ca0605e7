import type { CompareSummary, Quantiles, ReplaySummary, TargetSummary } from '../summary.ts';
import { isRate } from './compare.ts';
import { latencyNames } from './measures.ts';
import { alignColumns, formatCount, formatDuration, formatNumber, formatShare, harmless } from './text.ts';
import { conclude, describeErrors, describeSlo, isComparison, latencyTitles, nameFigure, noticesOf, targetsOf } from './words.ts';

const errorsShownMax = 5;
const quantileNames = ['p50', 'p90', 'p95', 'p99', 'max', 'mean'] as const;

/** A replay's figures for a terminal; it holds no control character but line feeds, whatever the servers said. */
export function formatSummary(summary: ReplaySummary): string {
  const targets = targetsOf(summary);
  const blocks = [
    [describeRun(summary)],
    ...targets.map((target, index) => formatTarget(target, summary, isComparison(summary) ? `${'AB'[index]}  ` : '')),
    ...(isComparison(summary) ? [formatComparison(summary)] : []),
    alignColumns([['generator', describeGenerator(summary)]], ['left', 'left']),
    noticesOf(summary).map((notice) => `! ${notice}`),
  ];
  return blocks
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.map(harmless).join('\n'))
    .join('\n\n');
}

function describeRun({ trace, settings, wall_s }: ReplaySummary): string {
  const speed = settings.speed === 1 ? 'as recorded' : `${formatNumber(settings.speed)}× as fast as recorded`;
  return `${trace.path} (${trace.format}): ${formatCount(trace.requestCount, 'request')} in ${formatDuration(wall_s * 1000)}, ${speed}, ${formatNumber(settings.meanRatePerSecond)} requests/s`;
}

function formatTarget(target: TargetSummary, { settings }: ReplaySummary, letter: string): string[] {
  const { outcomes, requests, errors } = target;
  const slo = describeSlo(settings.slo);
  const rows = [
    ['answered', `${formatNumber(outcomes.answered)} of ${formatNumber(requests)}, ${formatNumber(target.answered_rps)} requests/s`],
    [
      'goodput',
      `${formatNumber(target.goodput_rps)} requests/s${slo === '' ? ' (no objective was given: every answer counts)' : `; ${formatShare(target.slo_attainment ?? 0)} met ${slo}`}`,
    ],
    ['tokens', describeTokens(target)],
    ...(target.answers
      ? [['answers', `${formatNumber(target.answers.correct)} of ${formatNumber(target.answers.checked)} known ones were right`]]
      : []),
    ['errors', describeErrors(target)],
    ...errors
      .slice(0, errorsShownMax)
      .map(({ count, outcome, status, error }) => [
        '',
        `${formatNumber(count)} × ${outcome}${status === undefined ? '' : ` ${status}`}: ${error}`,
      ]),
    ...(errors.length > errorsShownMax || target.other_errors ? [['', '…']] : []),
  ];
  return [
    `${letter}${target.target.name}, model ${target.target.model}`,
    ...formatLatencies(target),
    '',
    ...alignColumns(rows, ['left', 'left']),
  ];
}

function describeTokens({
  output_tokens_per_second: output,
  prompt_tokens_per_second: prompt,
  cached_share: cached,
}: TargetSummary): string {
  const shared = cached === undefined ? '' : `, ${formatShare(cached)} of these cached`;
  return `${formatNumber(output)} out/s${prompt === undefined ? '' : `, ${formatNumber(prompt)} in/s${shared}`}`;
}

function formatLatencies(target: TargetSummary): string[] {
  const row = (title: string, unit: string, quantiles: Quantiles | null) => [
    title,
    unit,
    ...quantileNames.map((name) => formatNumber(quantiles?.[name])),
  ];
  const latencies = latencyNames.map((name) => row(latencyTitles[name], 'ms', target[`${name}_ms`]));
  const segments = Object.entries(target.segments_ms ?? {}).map(([name, quantiles]) => row(`  ${name}`, 'ms', quantiles));
  return alignColumns(
    [['', '', ...quantileNames], ...latencies, ...segments],
    ['left', 'left', ...quantileNames.map(() => 'right' as const)],
  );
}

function formatComparison({ comparison }: CompareSummary): string[] {
  const rows = comparison.map((line) => {
    const { name, unit } = nameFigure(line.figure);
    const { a, b, ratio } = line;
    return [
      name,
      unit,
      formatNumber(a),
      formatNumber(b),
      ratio?.value.toFixed(2) ?? '–',
      ratio ? `[${ratio.low.toFixed(2)}, ${ratio.high.toFixed(2)}]` : '',
      isRate(line.figure) ? 'more' : 'less',
      conclude(line),
    ];
  });
  return alignColumns(
    [['', '', 'A', 'B', 'B ÷ A', '[95 %]', 'wanted', ''], ...rows],
    ['left', 'left', 'right', 'right', 'right', 'left', 'left', 'left'],
  );
}

function describeGenerator({ generator, wall_s }: ReplaySummary): string {
  const { latenessMs: late, cpuSeconds, inFlightPeak } = generator;
  const lateness = late
    ? `sent late by ${formatNumber(late.p50)} ms (p50), ${formatNumber(late.p99)} ms (p99), ${formatNumber(late.max)} ms at most; `
    : '';
  return `${lateness}${formatNumber(wall_s > 0 ? cpuSeconds / wall_s : 0)} of a core; ${formatNumber(inFlightPeak)} in flight at most`;
}
