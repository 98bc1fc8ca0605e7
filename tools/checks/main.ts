/** npm test: every check, a line for each, and the counts as the last line. With patterns, only the test files that match. */
import { spawn } from 'node:child_process';
import { mkdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';

interface Check {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
}

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

const staticChecks: readonly Check[] = [
  { name: 'types', command: ['tsc', '--noEmit', '-p', 'tsconfig.json'] },
  { name: 'types of the console', command: ['tsc', '--noEmit', '-p', 'apps/console/tsconfig.json'] },
  { name: 'lint', command: ['oxlint', '--deny-warnings'] },
  { name: 'format', command: ['oxfmt', '--check', '.'] },
  { name: 'borders', command: ['depcruise', '--config', '.dependency-cruiser.cjs', 'packages', 'apps', 'bench'] },
];
const reportFile = path.resolve('.cache/vitest.json');

const patterns = process.argv.slice(2);
const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
if (patterns.length === 0) for (const check of staticChecks) await runCheck(check);
await runTests();
say(`${counts.passed} passed, ${counts.failed} failed${counts.skipped > 0 ? `, ${counts.skipped} skipped` : ''}`);
process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0;

async function runCheck({ name, command }: Check): Promise<void> {
  const startedAt = performance.now();
  const { code, output } = await run(command, { isQuiet: true });
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  say(`${code === 0 ? '✓' : '✗'} ${name} (${seconds} s)`);
  if (code === 0) counts.passed += 1;
  else {
    counts.failed += 1;
    say(output);
  }
}

interface VitestReport {
  readonly numTotalTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

/** unit, contract and integration, as vitest.config.ts names them. */
async function runTests(): Promise<void> {
  await mkdir(path.dirname(reportFile), { recursive: true });
  await rm(reportFile, { force: true });
  const command = ['vitest', 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${reportFile}`, ...patterns] as const;
  const { code } = await run(command, { isQuiet: false });
  const report = await readReport();
  if (!report) {
    counts.failed += 1;
    say('✗ vitest ended without a report');
    return;
  }
  const failedBefore = counts.failed;
  for (const file of report.testResults) {
    for (const { status, fullName } of file.assertionResults) {
      if (status === 'passed') counts.passed += 1;
      else if (status === 'failed') counts.failed += 1;
      else {
        counts.skipped += 1;
        say(`skipped: ${fullName} (${path.relative('.', file.name)})`);
      }
    }
    // A file that did not load has no tests to fail.
    if (file.status === 'failed' && !file.assertionResults.some(({ status }) => status === 'failed')) counts.failed += 1;
  }
  if (code !== 0 && counts.failed === failedBefore) counts.failed += 1;
}

async function readReport(): Promise<VitestReport | undefined> {
  try {
    return JSON.parse(await readFile(reportFile, 'utf8')) as VitestReport;
  } catch {
    return undefined;
  }
}

/** Runs a program of node_modules/.bin. */
function run(
  [program, ...args]: readonly [string, ...string[]],
  { isQuiet }: { readonly isQuiet: boolean },
): Promise<{ code: number; output: string }> {
  const child = spawn(path.resolve('node_modules/.bin', program), args, {
    stdio: ['ignore', isQuiet ? 'pipe' : 'inherit', isQuiet ? 'pipe' : 'inherit'],
    env: { ...process.env, PATH: `${path.resolve('node_modules/.bin')}${path.delimiter}${process.env['PATH']}` },
    shell: process.platform === 'win32',
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text: string) => (output += text));
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: 1, output: error.message }));
    child.once('close', (code) => resolve({ code: code ?? 1, output }));
  });
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
