/** A program that logs to what nobody reads, or what is open and never read, or what it writes to itself, and has nothing else to do. */
import { constants, openSync, writeSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { defaultConfig } from '../../../src/config/schema.ts';
import { openLogs } from '../../../src/observability/logs/logs.ts';
import { DropCounter } from '../../../src/observability/sinks/drop-counter.ts';

const [, , destination = '', kind] = process.argv;
if (kind === 'held') openSync(destination, constants.O_RDONLY | constants.O_NONBLOCK);
const logs = await openLogs({
  config: { ...defaultConfig.observability.logs, destination },
  drops: new DropCounter(
    () => {},
    () => {},
  ),
  secrets: [],
});
if (kind === 'shared') {
  for (let index = 0; index < 10; index += 1) {
    logs.info('one');
    writeSync(2, 'plain\n');
    await setTimeout(5);
  }
  await logs.close(5000);
} else {
  // More than a pipe holds.
  for (let index = 0; index < 5000; index += 1) logs.info('one', { pad: 'x'.repeat(100) });
  await logs.close(100);
}
process.disconnect();
