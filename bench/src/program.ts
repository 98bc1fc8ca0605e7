import { availableParallelism } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import { missedGoals, runSuite } from './harness/run-suite.ts';
import { formatReport } from './harness/table.ts';
import type { Suite, SuiteOwnOptions } from './suites/suite.ts';

interface BenchOptions {
  readonly json?: true;
  readonly strict?: true;
  readonly runs: number;
  /** Absent where the suite needs no model. */
  readonly threads?: number;
  readonly model?: string;
  readonly only?: readonly string[];
  /** A suite's own numbers, by their names in camel case. */
  readonly [own: string]: unknown;
}

/** Where the program writes. */
export interface BenchOutput {
  out(text: string): void;
  error(text: string): void;
}

/** Rounds that count when nothing else is asked for. */
const usualRuns = 11;

/** With `--strict`, a goal was missed. 1 is a suite that failed, or a command that made no sense. */
export const missedCode = 2;

/** Runs the program and returns its exit code. */
export async function runBench(args: readonly string[], suites: readonly Suite[], output: BenchOutput): Promise<number> {
  let code = 0;
  const program = createProgram(suites, output, (value) => (code = value));
  if (args.length === 0) {
    program.outputHelp();
    return 0;
  }
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    // commander has told its own errors already.
    if (isTold(error)) return error.exitCode;
    // Those of our own say what is to be done; of others the stack tells where.
    output.error(
      `bench: ${error instanceof Error ? ((error.name === 'AutoglmError' ? undefined : error.stack) ?? error.message) : String(error)}\n`,
    );
    return 1;
  }
  return code;
}

function createProgram(suites: readonly Suite[], output: BenchOutput, exitWith: (code: number) => void): Command {
  const program = new Command('npm run bench --')
    .description('Measures open-autoglm side by side with a reference in the same run.')
    .usage('SUITE [options]')
    .helpCommand(false)
    .addHelpText(
      'after',
      "\nnpm run bench -- SUITE --help tells a suite's options.\nMeasure on a machine that does nothing else: a second program makes every figure of ggml's threads worthless.",
    )
    .showHelpAfterError('(npm run bench lists the suites)')
    .configureHelp({ styleTitle: (title) => (title === 'Commands:' ? 'Suites:' : title), subcommandTerm: (command) => command.name() })
    .configureOutput({ writeOut: output.out, writeErr: output.error })
    .exitOverride();
  for (const suite of suites) program.addCommand(suiteCommand(suite, output, exitWith).copyInheritedSettings(program));
  return program;
}

function suiteCommand(suite: Suite, output: BenchOutput, exitWith: (code: number) => void): Command {
  const { runsMax, needsNoModel } = suite;
  const command = new Command(suite.name)
    .description(suite.description)
    .option('--json', 'print one JSON object as the last line')
    .option('--strict', `exit with ${missedCode} when a goal was missed`)
    .addOption(
      new Option('-r, --runs <number>', `rounds that count${runsMax ? `, at most ${runsMax}` : ''}`)
        .argParser(atLeastOne)
        .default(Math.min(usualRuns, runsMax ?? usualRuns)),
    );
  if (!needsNoModel) {
    command
      .addOption(
        new Option('-t, --threads <number>', 'threads of every contestant; no more than there are cores')
          .argParser(atLeastOne)
          .default(availableParallelism(), 'all cores'),
      )
      .option('-m, --model <path>', 'a GGUF file, or "default"', 'default');
  }
  if (suite.parts) command.addOption(new Option('--only <parts...>', 'measure these parts alone').choices(suite.parts));
  for (const { name, description, default: value } of suite.numbers ?? [])
    command.addOption(new Option(`--${name} <number>`, description).argParser(atLeastOne).default(value));
  return command.action(async (options: BenchOptions) => {
    const { json, strict, model = 'default', runs } = options;
    // More would spin in each other's way, as in the engine.
    const threads = Math.min(options.threads ?? Infinity, availableParallelism());
    const report = await runSuite(suite, {
      model,
      threads,
      runs,
      ...ownOptions(suite, options),
      onProgress: (text) => output.error(`${suite.name}: ${text}\n`),
    });
    output.out(`${formatReport(report)}\n`);
    if (json) output.out(`${JSON.stringify(report)}\n`);
    if (strict && missedGoals(report).length > 0) exitWith(missedCode);
  });
}

function ownOptions({ parts = [], numbers = [] }: Suite, options: BenchOptions): SuiteOwnOptions {
  return {
    parts: new Set(options.only ?? parts),
    numbers: Object.fromEntries(numbers.map(({ name }) => [name, options[camelcase(name)] as number])),
  };
}

/** As commander names an option. */
function camelcase(name: string): string {
  return name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}

function isTold(error: unknown): error is { readonly exitCode: number } {
  return error instanceof Error && error.name === 'CommanderError' && 'exitCode' in error;
}

function atLeastOne(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('It must be a whole number of at least 1.');
  return value;
}
