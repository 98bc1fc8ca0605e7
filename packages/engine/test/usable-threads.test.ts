import { availableParallelism } from 'node:os';
import { expect, it } from 'vitest';
import { usableThreads } from '../src/usable-threads.ts';

it('no more threads are used than there are cores, and all of these when none is said', () => {
  expect([usableThreads(1), usableThreads(513), usableThreads()]).toEqual([1, availableParallelism(), availableParallelism()]);
});
