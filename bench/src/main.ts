import { constants } from 'node:os';
import { runBench } from './program.ts';
import { suites } from './suites/index.ts';

// An exit runs the handlers that end the servers which a suite has started; a signal's default would not.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(128 + constants.signals[signal]));
process.exitCode = await runBench(process.argv.slice(2), suites, {
  out: (text) => process.stdout.write(text),
  error: (text) => process.stderr.write(text),
});
