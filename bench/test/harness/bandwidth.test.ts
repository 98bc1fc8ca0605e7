import { expect, it } from 'vitest';
import { readBandwidth } from '../../src/harness/bandwidth.ts';

it('the bandwidth of two threads is measured', async () => {
  expect(await readBandwidth(2 ** 20, 2)).toBeGreaterThan(0);
});
