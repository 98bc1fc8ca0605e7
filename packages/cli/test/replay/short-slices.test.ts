import { existsSync, readFileSync, readlinkSync } from 'node:fs';
import { getPriority } from 'node:os';
import { expect, it } from 'vitest';
import { takeShortSlices } from '../../src/replay/generator/short-slices.ts';

it('a thread takes its share in short slices, as nice as it was, and where that cannot be, nothing happens', async () => {
  const priority = getPriority();
  const isTaken = await takeShortSlices();
  expect(getPriority()).toBe(priority);
  const path = process.platform === 'linux' ? `/proc/${readlinkSync('/proc/thread-self')}/sched` : '';
  // Some kernels tell.
  const slice = existsSync(path) ? /^se\.slice\s*:\s*(\d+)/m.exec(readFileSync(path, 'utf8'))?.[1] : undefined;
  if (isTaken && slice !== undefined) expect(slice).toBe('100000');
  if (process.platform !== 'linux') expect(isTaken).toBe(false);
});
