import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const program = fileURLToPath(new URL('./allocating-process.ts', import.meta.url));

async function mostBytes(...args: string[]): Promise<number> {
  const { stdout } = await promisify(execFile)(process.execPath, [program, ...args]);
  return Number(stdout);
}

test('new objects get 32 MiB, of which V8 alone would make four times as much', async () => {
  const [bounded, unbounded] = [await mostBytes('bounded'), await mostBytes()];
  expect(bounded).toBeLessThanOrEqual(32 * 2 ** 20);
  expect(unbounded).toBeGreaterThan(2 * bounded);
});
