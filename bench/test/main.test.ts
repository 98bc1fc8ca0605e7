import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const bench = (...args: string[]) => spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' });

describe('the bench program', () => {
  it('lists its suites', () => {
    const { status, stdout } = bench('--help');
    expect(status).toBe(0);
    expect(stdout).toMatch(/engine +decode/);
    expect(stdout).toMatch(/server +1 and 16/);
  });

  for (const args of [['nothing'], ['engine', '--runs', '0'], ['engine', '--threads', 'two'], []]) {
    it(`refuses ${JSON.stringify(args)} and says why`, () => {
      const { status, stderr } = bench(...args);
      expect(status).not.toBe(0);
      expect(stderr).toContain('error:');
    });
  }
});
