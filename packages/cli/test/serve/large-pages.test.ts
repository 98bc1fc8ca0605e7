import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { start, type RunOptions } from '../support.ts';

/** The command line of a gateway that passes requests on, once it listens. */
async function commandLine(options: RunOptions): Promise<readonly string[]> {
  const gateway = start(['serve', '--port', '0', '--engine', 'http://127.0.0.1:1/v1', '--engine-model', 'm'], options);
  await gateway.saidOn('stdout', /^listening on /);
  const line = readFileSync(`/proc/${gateway.child.pid}/cmdline`, 'utf8').split('\0');
  gateway.child.kill('SIGTERM');
  expect(await gateway.ended).toBe(0);
  return line;
}

test.skipIf(process.platform !== 'linux' || process.execve === undefined)(
  'a gateway goes on with its code in large pages, as the same process and with the options that Node had',
  async () => {
    expect(await commandLine({ nodeOptions: ['--max-http-header-size=9000'] })).toEqual(
      expect.arrayContaining(['--use-largepages=silent', '--max-http-header-size=9000', '--engine-model']),
    );
    const asked = await commandLine({ env: { NODE_OPTIONS: '--use-largepages=off' } });
    expect(asked.join(' ')).not.toContain('largepages');
  },
);
