import { createHash } from 'node:crypto';
import type { ReplayResult } from '../../result.ts';
import type { ReplaySummary, TargetSummary } from '../../summary.ts';
import { formatCount, harmless } from '../text.ts';
import { describeSlo, isComparison, noticesOf, targetsOf } from '../words.ts';
import { drawCharts } from './charts.ts';
import { html, jsonScript, raw, type Markup } from './markup.ts';
import { style } from './style.ts';
import { circumstances, comparisonTable, errorTable, latencyTable, tilesOf } from './tables.ts';

/**
 * A replay as one HTML file that needs nothing else: it opens from a disk, makes no request and runs no script, which its content security
 * policy holds even if a text of a server were to get through as markup. The summary lies in it as JSON, under the id `report`.
 */
export function renderPage(result: ReplayResult, summary: ReplaySummary): string {
  const name = harmless(result.trace.path.split(/[/\\]/).at(-1) ?? result.trace.path);
  const policy = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`;
  const notices = noticesOf(summary);
  const slices = isComparison(summary) ? (summary.comparison[0]?.slices ?? 0) : 0;
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>${isComparison(summary) ? 'Comparison' : 'Replay'}: ${name}</title>
<style>${raw(style)}</style>
</head>
<body>
<h1>${isComparison(summary) ? 'Comparison' : 'Replay'}: ${name} <small lang="zh">${isComparison(summary) ? '对比报告' : '回放报告'}</small></h1>
${notices.map(
  (notice) => html`<div class="notice">${harmless(notice)}</div>
`,
)}
${
  isComparison(summary) &&
  html`<h2>Which is better <span lang="zh">对比</span></h2>
${comparisonTable(summary)}
<p>${formatCount(slices, 'slice')} of the trace, ${slices === 1 ? '' : 'each '}replayed to both servers in turn; intervals are drawn from slices. Where an interval holds 1, no difference was shown. Of nine figures of two equal servers, one or another interval misses 1 by chance in up to four of ten comparisons.</p>`
}
${targetsOf(summary).map((target, index) => targetSection(target, summary, index))}
<h2>Over time and by percentile <span lang="zh">图表</span></h2>
<p>Latencies count from when a request was due, on the time of the trace.</p>
<div class="charts">${drawCharts(result)}</div>
<h2>How it was measured <span lang="zh">测量条件</span></h2>
${circumstances(summary)}
${jsonScript('report', summary)}
</body>
</html>
`;
  return page.text;
}

function targetSection(target: TargetSummary, summary: ReplaySummary, index: number): Markup {
  const { name, model } = target.target;
  const letter = isComparison(summary) && html`<span class="letter ${['a', 'b'][index]}">${['A', 'B'][index]}</span> `;
  return html`<h2>${letter}${harmless(name)} <span>${harmless(model)}</span></h2>
${tilesOf(target, describeSlo(summary.settings.slo))}
${latencyTable(target)}
${errorTable(target)}
`;
}
