import { AutoglmError } from '@open-autoglm/protocol';
import { expect, it } from 'vitest';
import { askLine, type LineParts } from '../../src/ingress/batches/ask-line.ts';
import { endpoints } from '../../src/ingress/batches/batch-lines.ts';
import { Places } from '../../src/ingress/batches/places.ts';

const unasked = () => Promise.reject(new Error('nothing is answered here'));
const call = {
  api: endpoints['/v1/completions'],
  line: { number: 1, custom_id: 'a', request: '{}' },
  caller: { key: undefined, tenant: 'a' },
  signal: new AbortController().signal,
};

/** How long a line that was refused so often waited each time, until it was refused for good. */
async function waitsOf(retryAfterSeconds: number | undefined, refusals: number, random: number): Promise<number[]> {
  const waits: number[] = [];
  const run = () =>
    Promise.reject(
      waits.length < refusals ? new AutoglmError('queue_full', 'full', { retryAfterSeconds }) : new AutoglmError('invalid_value', 'wrong'),
    );
  const parts: LineParts = {
    asker: { run },
    embeddings: { embed: run },
    writeAnswer: unasked,
    writeEmbeddings: unasked,
    writeError: () => '{}',
    wait: async (milliseconds) => void waits.push(milliseconds),
    random: () => random,
  };
  await askLine(parts, { ...call, hold: new Places(1).hold });
  return waits;
}

it('a line that is told when to come again comes no sooner, and not when all the others do', async () => {
  expect(await waitsOf(10, 2, 0)).toEqual([10_000, 10_000]);
  expect(await waitsOf(10, 2, 1)).toEqual([15_000, 15_000]);
});

it('a line that is told nothing waits twice as long each time, or anything down to half of that', async () => {
  expect(await waitsOf(undefined, 3, 1)).toEqual([500, 1000, 2000]);
  expect(await waitsOf(undefined, 3, 0)).toEqual([250, 500, 1000]);
});

it('a line that was refused often waits longer than it is told', async () => {
  expect((await waitsOf(1, 9, 1)).at(-1)).toBe(30_000);
});

it('a line that gets no place since the gateway closes is still to be answered', async () => {
  const parts: LineParts = {
    asker: { run: unasked },
    embeddings: { embed: unasked },
    writeAnswer: unasked,
    writeEmbeddings: unasked,
    writeError: () => '{}',
    wait: unasked,
    random: () => 0,
  };
  const places = new Places(1);
  const closed = new Error('closed');
  places.close(closed);
  await expect(askLine(parts, { ...call, hold: places.hold })).rejects.toBe(closed);
});
