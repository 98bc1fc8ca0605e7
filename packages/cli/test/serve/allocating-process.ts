/** Allocates what survives for a while, as a gateway under load; prints how many bytes V8's space of new objects took at most. With an argument, bounded. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { getHeapSpaceStatistics } from 'node:v8';
import { boundYoungGeneration } from '../../src/serve/young-generation.ts';

const turns = 160;
const kept = 20_000;

if (process.argv[2]) boundYoungGeneration();
const held: object[] = [];
let most = 0;
for (let turn = 0; turn < turns; turn += 1) {
  for (let index = 0; index < kept; index += 1) held[index] = { turn, index: [index, turn], text: `${turn} ${index}` };
  await nextTurn();
  most = Math.max(most, getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space')?.space_size ?? NaN);
}
process.stdout.write(`${most}\n`);
