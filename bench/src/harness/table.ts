import type { Figure, Goal, SuiteReport } from './report.ts';

/** A suite's report for people. */
export function formatReport(report: SuiteReport): string {
  const { machine, versions, settings } = report;
  const size = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
  const cache = machine.lastLevelCacheBytes === null ? '' : `, last-level cache ${size(machine.lastLevelCacheBytes)}`;
  return [
    `suite ${report.suite} · open-autoglm ${versions.package} · commit ${versions.commit ?? 'unknown'} · node ${versions.node} · ${versions.ggml ?? 'no ggml package'} · ${versions.system}`,
    `${machine.cpu}, ${machine.cores} cores (${machine.instructionSets.join(' ')}), memory ${size(machine.memoryBytes)}${cache}, load ${machine.loadBefore.toFixed(2)} before the run`,
    Object.entries(settings)
      .map(([name, value]) => `${name} ${value}`)
      .join(' · '),
    '',
    formatTable(report.figures),
    '',
    ...report.notes.map((note) => `- ${note}`),
    ...report.warnings.map((warning) => `! ${warning}`),
  ].join('\n');
}

function formatTable(figures: readonly Figure[]): string {
  const header = ['what', 'figure', 'against', 'ratio [95 %]', 'goal', 'limit'];
  const rows = [header, ...figures.map(formatRow)];
  const widths = header.map((_, column) => Math.max(...rows.map((row) => (row[column] as string).length)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] as number))
      .join('  ')
      .trimEnd(),
  );
  return [lines[0], widths.map((width) => '-'.repeat(width)).join('  '), ...lines.slice(1)].join('\n');
}

function formatRow({ name, unit, value, reference, ratio, goal, goalMet, limit }: Figure): string[] {
  return [
    name,
    `${formatNumber(value)} ${unit}`,
    reference ? `${formatNumber(reference.value)} ${reference.name}${reference.samples ? '' : ' (not measured here)'}` : '',
    ratio ? `${ratio.value.toFixed(2)} [${ratio.low.toFixed(2)}, ${ratio.high.toFixed(2)}]` : '',
    goal ? `${formatGoal(goal)} ${goalMet ? 'met' : 'MISSED'}` : '',
    limit === undefined ? '' : `${formatNumber(limit)} ${unit}`,
  ];
}

function formatGoal({ atLeast, below }: Goal): string {
  return atLeast === undefined ? `< ${below}` : `≥ ${atLeast}`;
}

/** Three digits that count. */
function formatNumber(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
