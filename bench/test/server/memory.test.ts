import { expect, it } from 'vitest';
import { memoryOfTree } from '../../src/server/memory.ts';

it.runIf(process.platform === 'linux')('the memory of a process tree is that of its processes', () => {
  const memory = memoryOfTree(process.pid);
  expect(memory?.processCount).toBeGreaterThanOrEqual(1);
  expect(memory?.ownResidentBytes).toBeGreaterThan(1e6);
  expect(memory?.residentBytes).toBeGreaterThanOrEqual(memory?.ownResidentBytes ?? Infinity);
});
