import { once } from 'node:events';
import { release } from 'node:os';
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import type { Policy, SlicesTaken } from './slices-thread.ts';

async function inThread(policy: Policy): Promise<SlicesTaken> {
  const [taken] = await once(new Worker(new URL('./slices-thread.ts', import.meta.url), { workerData: policy }), 'message');
  return taken as SlicesTaken;
}

it('a thread takes its share in slices of 0.1 ms, and is as nice as it was', async ({ skip }) => {
  const { before, isTaken, after } = await inThread('usual');
  if (!isTaken) expect(after).toEqual(before);
  if (!before || !isTaken) return skip(`${process.platform} ${release()} refuses short slices, or says nothing of them`);
  if (before.sliceNs === 0) return skip(`Linux ${release()} has no slices to choose: 6.12 does`);
  expect(after).toEqual({ ...before, sliceNs: 100_000 });
});

it('a thread that is scheduled otherwise stays as it is', async ({ skip }) => {
  const { before, isTaken, after } = await inThread('batch');
  expect(isTaken).toBe(false);
  expect(after).toEqual(before);
  if (before?.policy !== 3) skip(`${process.platform} ${release()} does not let a thread choose its policy`);
});
