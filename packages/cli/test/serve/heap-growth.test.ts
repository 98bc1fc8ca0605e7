import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const program = fileURLToPath(new URL('./allocating-process.ts', import.meta.url));

async function allocate(...args: string[]): Promise<{ readonly newBytes: number; readonly oldBytes: number }> {
  const { stdout } = await promisify(execFile)(process.execPath, [program, ...args]);
  return JSON.parse(stdout) as { newBytes: number; oldBytes: number };
}

test('new objects get 32 MiB, and old ones little more than they need, of which V8 alone would make more', async () => {
  const [bounded, unbounded] = [await allocate('bounded'), await allocate()];
  // While it is collected, the space has pages of both halves and of those that go.
  expect(bounded.newBytes).toBeLessThan(48 * 2 ** 20);
  expect(unbounded.newBytes).toBeGreaterThan(2 * bounded.newBytes);
  expect(unbounded.oldBytes).toBeGreaterThan(1.3 * bounded.oldBytes);
});
