import type { CompareSummary, Comparison, Quantiles, ReplaySummary, TargetSummary } from '../../summary.ts';
import { isRate } from '../compare.ts';
import { latencyNames } from '../measures.ts';
import { formatCount, formatDuration, formatNumber, formatShare, harmless } from '../text.ts';
import { conclude, describeErrors, describeSlo, latencyTitles, nameFigure } from '../words.ts';
import { html, type Markup } from './markup.ts';

const quantileNames = ['p50', 'p90', 'p95', 'p99', 'max', 'mean'] as const;

/** The figures that matter most, large. */
export function tilesOf(target: TargetSummary, slo: string): Markup {
  const { outcomes, requests } = target;
  const tiles: readonly (readonly [string, string, string])[] = [
    [
      'answered · 应答',
      requests === 0 ? '–' : formatShare(outcomes.answered / requests),
      `${formatNumber(outcomes.answered)} of ${formatNumber(requests)}`,
    ],
    ...latencyNames.map((name) => {
      const quantiles = target[`${name}_ms`];
      return [`${latencyTitles[name]} p50 / p99`, `${formatNumber(quantiles?.p50)} / ${formatNumber(quantiles?.p99)}`, 'ms'] as const;
    }),
    [
      'goodput · 有效吞吐',
      formatNumber(target.goodput_rps),
      slo === '' ? 'requests/s; every answer counts' : `requests/s; ${formatShare(target.slo_attainment ?? 0)} within the SLO`,
    ],
    ['output · 输出', formatNumber(target.output_tokens_per_second), 'tokens/s'],
    ['errors · 失败', formatNumber(requests - outcomes.answered), describeErrors(target)],
  ];
  return html`<div class="tiles">${tiles.map(([name, value, note]) => html`<div><span>${name}</span><b>${value}</b><span>${note}</span></div>`)}</div>`;
}

export function latencyTable(target: TargetSummary): Markup {
  const row = (title: string, quantiles: Quantiles | null) =>
    html`<tr><th>${title}</th>${quantileNames.map((name) => html`<td>${formatNumber(quantiles?.[name])}</td>`)}</tr>`;
  return html`<div class="wide"><table><thead><tr><th>ms</th>${quantileNames.map((name) => html`<th>${name}</th>`)}</tr></thead><tbody>
${latencyNames.map((name) => row(latencyTitles[name], target[`${name}_ms`]))}${Object.entries(target.segments_ms ?? {}).map(([name, quantiles]) => row(`· ${harmless(name)}`, quantiles))}
</tbody></table></div>`;
}

/** The ratio of each figure with its interval, drawn around 1, and what follows from it. */
export function comparisonTable({ comparison }: CompareSummary): Markup {
  const reach = Math.max(1.1, ...comparison.flatMap(({ ratio }) => (ratio && ratio.low > 0 ? [ratio.high, 1 / ratio.low] : []))) * 1.05;
  return html`<div class="wide"><table class="comparison"><thead><tr><th></th><th>A</th><th>B</th><th>B ÷ A</th><th>95 % interval</th><th></th><th>conclusion · 结论</th></tr></thead><tbody>
${comparison.map((line) => {
  const { name, unit } = nameFigure(line.figure);
  const { a, b, ratio } = line;
  return html`<tr class="${line.better}"><th>${name} <small>${unit}</small></th><td>${formatNumber(a)}</td><td>${formatNumber(b)}</td><td>${ratio?.value.toFixed(2) ?? '–'}</td><td>${ratio ? `${ratio.low.toFixed(2)} – ${ratio.high.toFixed(2)}` : ''}</td><td>${interval(line, reach)}</td><td>${conclude(line)}<small>${isRate(line.figure) ? ' (more is better)' : ''}</small></td></tr>`;
})}
</tbody></table></div>`;
}

function interval({ ratio, better }: Comparison, reach: number): Markup | undefined {
  if (!ratio) return undefined;
  const place = (value: number) =>
    Math.round(800 + Math.max(-1, Math.min(1, Math.log(Math.max(value, Number.MIN_VALUE)) / Math.log(reach))) * 760) / 10;
  return html`<svg viewBox="0 0 160 16" class="interval ${better}"><path class="one" d="M80 0V16"/><path class="range" d="M${place(ratio.low)} 8H${place(ratio.high)}"/><path class="value" d="M${place(ratio.value)} 8h0"/></svg>`;
}

export function errorTable(target: TargetSummary): Markup | undefined {
  if (target.errors.length === 0) return undefined;
  return html`<div class="wide"><table class="errors"><thead><tr><th>errors · 错误</th><th>what</th><th>count</th></tr></thead><tbody>
${target.errors.map(({ outcome, status, error, count }) => html`<tr><th>${outcome}${status === undefined ? '' : ` ${status}`}</th><td>${harmless(error)}</td><td>${formatNumber(count)}</td></tr>`)}
${target.other_errors !== undefined && html`<tr><th></th><td>others</td><td>${formatNumber(target.other_errors)}</td></tr>`}
</tbody></table></div>`;
}

/** How it was measured: everything that could have been otherwise. */
export function circumstances(summary: ReplaySummary): Markup {
  const { trace, settings, generator, machine } = summary;
  const late = generator.latenessMs;
  const rows: readonly (readonly [string, string | undefined])[] = [
    [
      'trace · 数据',
      `${harmless(trace.path)} (${trace.format}), ${formatCount(trace.requestCount, 'request')} over ${formatDuration(trace.spanMs)}`,
    ],
    [
      'rate',
      `${settings.speed === 1 ? 'as recorded' : `${formatNumber(settings.speed)}× as fast as recorded`}, ${formatNumber(settings.meanRatePerSecond)} requests/s`,
    ],
    ['objective (SLO)', describeSlo(settings.slo) || 'none'],
    ['slices', settings.blockMs === undefined ? undefined : `${formatDuration(settings.blockMs)} of the trace, to each server in turn`],
    [
      'prompts',
      settings.promptScale === 1 && settings.promptTokensMax === undefined
        ? undefined
        : `length × ${formatNumber(settings.promptScale)}${settings.promptTokensMax === undefined ? '' : `, at most ${formatCount(settings.promptTokensMax, 'token')}`}`,
    ],
    [
      'answers',
      settings.outputScale === 1 && settings.outputTokensMax === undefined
        ? undefined
        : `length × ${formatNumber(settings.outputScale)}${settings.outputTokensMax === undefined ? '' : `, at most ${formatCount(settings.outputTokensMax, 'token')}`}`,
    ],
    [
      'limits',
      `${formatDuration(settings.timeoutMs)} for a request, ${formatNumber(settings.inFlightMax)} in flight; seed ${settings.seed}`,
    ],
    [
      'generator',
      `${late ? `sent late by ${formatNumber(late.p50)} ms (p50), ${formatNumber(late.p99)} ms (p99), ${formatNumber(late.max)} ms at most; ` : ''}${formatNumber(generator.cpuSeconds)} s of CPU; ${formatNumber(generator.inFlightPeak)} in flight, ${formatCount(generator.connectionPeak, 'connection')} at most`,
    ],
    [
      'machine · 机器',
      `${machine.cpu}, ${formatCount(machine.cores, 'core')}, ${formatNumber(machine.memory_bytes / 2 ** 30)} GiB, ${machine.platform}; node ${machine.node}; load ${formatNumber(machine.load)}`,
    ],
    ['replayed by', `autoglm ${machine.autoglm}, ${summary.started_at}, ${formatDuration(summary.wall_s * 1000)}`],
  ];
  return html`<dl>${rows.map(([name, text]) => text !== undefined && html`<dt>${name}</dt><dd>${text}</dd>`)}</dl>`;
}
