import { fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, createReadStream, openSync, readFileSync, readSync, renameSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { Destination } from '../../../src/observability/logs/destination.ts';
import { until } from '../../support.ts';
import { linesOf, logsTo, makeFolder, openTestLogs } from './support.ts';

const bounds = { lengthMax: 10_000 };
const countOf = (lines: string, message: string) => lines.split('\n').filter((line) => line.includes(`"${message}"`)).length;

describe('a FIFO that nobody reads', () => {
  it('costs lines, not memory, and says how many when it is read', async () => {
    using folder = makeFolder();
    const { logs, drops } = await openTestLogs(logsTo(folder.fifo('log')), { bounds });
    for (let index = 0; index < 2000; index += 1) {
      logs.info('one', { index });
      expect(logs.waiting).toBeLessThanOrEqual(bounds.lengthMax);
      if (index % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    const lost = drops.count;
    expect(lost).toBeGreaterThan(1000);
    const read = text(createReadStream(folder.file('log')));
    await until(() => logs.waiting === 0);
    logs.info('last');
    await logs.close(5000);
    const lines = await read;
    expect(countOf(lines, 'one')).toBe(2000 - lost);
    expect(lines).toContain(`"count":${lost},"msg":"log lines were dropped"`);
    expect(countOf(lines, 'last')).toBe(1);
    expect(drops.count).toBe(lost);
    // What was taken is in order and whole.
    for (const line of lines.trimEnd().split('\n')) JSON.parse(line);
  });

  it('is closed within its time, and what is lost then is counted', async () => {
    using folder = makeFolder();
    const { logs, drops } = await openTestLogs(logsTo(folder.fifo('log')));
    for (let index = 0; index < 10; index += 1) logs.info('one');
    await logs.close(30);
    expect(drops.count).toBe(10);
    logs.info('late');
    expect(drops.count).toBe(11);
  });

  it.each(['unread', 'held'])('lets the process end (%s)', async (kind) => {
    using folder = makeFolder();
    const child = fork(new URL('./log-and-leave.ts', import.meta.url), [folder.fifo('log'), kind], { execArgv: [] });
    const [code] = await once(child, 'exit');
    expect(code).toBe(0);
  });

  it('may be read by another when the first reader leaves', async () => {
    using folder = makeFolder();
    const { logs } = await openTestLogs(logsTo(folder.fifo('log')));
    for (const message of ['first', 'second']) {
      logs.info(message);
      expect(await readOnce(folder.file('log'))).toContain(`"${message}"`);
    }
    await logs.close(5000);
  });
});

/** Opens a FIFO, takes what comes first, and leaves. */
async function readOnce(file: string): Promise<string> {
  const descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  const buffer = Buffer.alloc(65_536);
  let length = 0;
  await until(() => {
    try {
      length = readSync(descriptor, buffer);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
    return length > 0;
  });
  closeSync(descriptor);
  return buffer.toString('utf8', 0, length);
}

describe('stderr', () => {
  const program = new URL('./log-and-leave.ts', import.meta.url);

  it('that is a pipe which nobody reads lets the process end', async () => {
    const child = fork(program, ['stderr', 'unread'], { execArgv: [], stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    const [code] = await once(child, 'exit');
    expect(code).toBe(0);
  });

  it('that is a file is shared with whoever else writes to it', async () => {
    using folder = makeFolder();
    const descriptor = openSync(folder.file('log'), 'w');
    const child = fork(program, ['stderr', 'shared'], { execArgv: [], stdio: ['ignore', 'ignore', descriptor, 'ipc'] });
    await once(child, 'exit');
    closeSync(descriptor);
    const lines = readFileSync(folder.file('log'), 'utf8').trimEnd().split('\n');
    expect(lines.filter((line) => line === 'plain')).toHaveLength(10);
    expect(lines.filter((line) => line !== 'plain').map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual(
      Array.from({ length: 10 }, () => 'one'),
    );
  });
});

describe('a full disk', () => {
  it('costs lines and nothing else', async () => {
    const { logs, drops } = await openTestLogs(logsTo('/dev/full'), { bounds });
    for (let index = 0; index < 1000; index += 1) logs.info('one', { index });
    expect(logs.waiting).toBeLessThanOrEqual(bounds.lengthMax);
    expect(drops.count).toBeGreaterThan(0);
    await logs.close(30);
    expect(drops.count).toBe(1000);
  });
});

describe('a file', () => {
  it('is appended to, in order, whatever the size of the lines', async () => {
    using folder = makeFolder();
    for (const round of [1, 2]) {
      const { logs, drops } = await openTestLogs(logsTo(folder.file('log')), { bounds: { lengthMax: 10_000_000 } });
      for (let index = 0; index < 200; index += 1) logs.info('one', { round, index, pad: '长'.repeat(index * 200) });
      await logs.close(10_000);
      expect(drops.count).toBe(0);
    }
    expect(linesOf(folder.file('log')).map(({ round, index }) => [round, index])).toEqual(
      [1, 2].flatMap((round) => Array.from({ length: 200 }, (_, index) => [round, index])),
    );
  });

  it('that was moved away is begun anew', async () => {
    using folder = makeFolder();
    const destination = new Destination({ path: folder.file('log') }, { rotationCheckMs: 0 });
    await destination.write(Buffer.from('{"a":1}\n'));
    renameSync(folder.file('log'), folder.file('log.1'));
    await destination.write(Buffer.from('{"a":2}\n'));
    await destination.close();
    expect([linesOf(folder.file('log.1')), linesOf(folder.file('log'))]).toEqual([[{ a: 1 }], [{ a: 2 }]]);
  });

  it('that cannot be opened is refused by name', async () => {
    using folder = makeFolder();
    await expect(openTestLogs(logsTo(folder.file('absent/log')))).rejects.toThrow(
      /^observability\.logs\.destination: the file cannot be written: ENOENT/,
    );
    await expect(openTestLogs(logsTo(folder.file('')))).rejects.toThrow(/EISDIR/);
  });
});
