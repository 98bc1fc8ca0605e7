import { availableParallelism, constants } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import { formatReport } from './harness/table.ts';
import { suites } from './suites/index.ts';

interface BenchOptions {
  readonly json?: true;
  readonly threads: number;
  readonly runs: number;
  readonly model: string;
}

// An exit runs the handlers that end the servers which a suite has started; a signal's default would not.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(128 + constants.signals[signal]));
await createProgram().parseAsync();

function createProgram(): Command {
  const names = suites.map(({ name }) => name);
  const width = Math.max(...names.map((name) => name.length)) + 2;
  return new Command('npm run bench --')
    .description('Measures open-autoglm side by side with a reference in the same run.')
    .argument('<suite>', `one of: ${names.join(', ')}`, chooseSuite)
    .option('--json', 'print one JSON object as the last line')
    .addOption(new Option('-t, --threads <number>', 'threads of every contestant').argParser(atLeastOne).default(availableParallelism(), 'all cores'))
    .addOption(new Option('-r, --runs <number>', 'rounds that count').argParser(atLeastOne).default(11))
    .option('-m, --model <path>', 'a GGUF file, or "default"', 'default')
    .addHelpText('after', `\nSuites:\n${suites.map(({ name, description }) => `  ${name.padEnd(width)}${description}`).join('\n')}\n\nMeasure on a machine that does nothing else: a second program makes every figure of ggml's threads worthless.`)
    .showHelpAfterError('(npm run bench -- --help lists the suites)')
    .action(run);
}

async function run(suite: (typeof suites)[number], { json, ...options }: BenchOptions): Promise<void> {
  const onProgress = (text: string) => process.stderr.write(`${suite.name}: ${text}\n`);
  const report = await suite.run({ ...options, onProgress });
  process.stdout.write(`${formatReport(report)}\n`);
  if (json) process.stdout.write(`${JSON.stringify(report)}\n`);
}

function chooseSuite(name: string): (typeof suites)[number] {
  const suite = suites.find((candidate) => candidate.name === name);
  if (!suite) throw new InvalidArgumentError('There is no such suite.');
  return suite;
}

function atLeastOne(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('It must be a whole number of at least 1.');
  return value;
}
