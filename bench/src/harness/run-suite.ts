import { loadavg } from 'node:os';
import type { Suite, SuiteOptions } from '../suites/suite.ts';
import { describeMachine, describeVersions, loadWarning } from './machine.ts';
import type { SuiteReport } from './report.ts';

/** Intervals of fewer rounds are too narrow. */
const runsMin = 6;

/** Runs a suite and adds what every report holds: when, where, with what, and what to doubt. */
export async function runSuite(suite: Suite, options: SuiteOptions): Promise<SuiteReport> {
  const startedAt = new Date().toISOString();
  const machine = describeMachine();
  const started = performance.now();
  const runs = Math.min(options.runs, suite.runsMax ?? Infinity);
  const measured = await suite.run({ ...options, runs });
  const warnings = [...(measured.warnings ?? []), loadWarning(machine), runs < runsMin ? fewRuns(runs) : undefined];
  return {
    suite: suite.name,
    startedAt,
    seconds: Math.round(performance.now() - started) / 1000,
    machine: { ...machine, loadAfter: loadavg()[0] as number },
    versions: describeVersions(),
    settings: measured.settings,
    figures: measured.figures,
    notes: measured.notes,
    warnings: [...new Set(warnings.filter((warning) => warning !== undefined))],
  };
}

/** The goals that a suite did not reach. */
export function missedGoals({ figures }: SuiteReport): readonly string[] {
  return figures.filter(({ goalMet }) => goalMet === false).map(({ name }) => name);
}

function fewRuns(runs: number): string {
  return `Only ${runs} round${runs === 1 ? '' : 's'} counted: intervals of fewer than ${runsMin} are too narrow to be trusted.`;
}
