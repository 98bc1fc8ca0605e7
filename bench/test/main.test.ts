import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));

it('npm run bench lists the suites, each by its name', () => {
  const { status, stdout } = spawnSync(process.execPath, [main], { encoding: 'utf8' });
  expect(status).toBe(0);
  expect(stdout).toMatch(/^ +engine +decode/m);
  expect(stdout).toMatch(/^ +server +1 and 16/m);
});
