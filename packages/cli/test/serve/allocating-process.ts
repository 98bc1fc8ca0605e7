/**
 * Allocates as a gateway under load does: most objects soon end, some live for a while, as in a queue. Prints how many bytes V8's
 * spaces of new and of old objects took at most. With an argument, bounded.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { getHeapSpaceStatistics } from 'node:v8';
import { boundHeapGrowth } from '../../src/serve/heap-growth.ts';

const turns = 1500;
const perTurn = 2000;
/** Turns that an object is held for. */
const heldTurns = 100;

if (process.argv[2]) boundHeapGrowth();
const held: object[] = [];
const most = { newBytes: 0, oldBytes: 0 };
for (let turn = 0; turn < turns; turn += 1) {
  for (let index = 0; index < perTurn; index += 1)
    held[(turn % heldTurns) * perTurn + index] = { turn, index: [index, turn], text: `${turn} ${index}` };
  await nextTurn();
  const bytesOf = (name: string) => getHeapSpaceStatistics().find((space) => space.space_name === name)?.space_size ?? NaN;
  most.newBytes = Math.max(most.newBytes, bytesOf('new_space'));
  most.oldBytes = Math.max(most.oldBytes, bytesOf('old_space'));
}
process.stdout.write(JSON.stringify(most));
