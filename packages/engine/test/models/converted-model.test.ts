import { execFile } from 'node:child_process';
import { chmod, mkdtemp, open, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { AutoglmError } from '@open-autoglm/protocol';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ensureConverted } from '../../src/models/converted-model.ts';
import { fileName, smallConversion } from './small-conversion.ts';

const program = path.join(import.meta.dirname, 'small-conversion.ts');
const run = promisify(execFile);

describe('ensureConverted', () => {
  let folder: string;
  let file: string;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-convert-'));
    file = path.join(folder, fileName);
  });
  afterEach(() => rm(folder, { recursive: true }));

  /** Whether the file had to be made. */
  async function converts(): Promise<boolean> {
    let made = false;
    expect(await ensureConverted(smallConversion(folder, () => (made = true)))).toBe(file);
    return made;
  }

  it('makes the file once, with nothing else but its seal beside it', async () => {
    expect(await converts()).toBe(true);
    expect(await converts()).toBe(false);
    expect((await readdir(folder)).sort()).toEqual([fileName, `${fileName}.json`]);
  });

  it('makes folders that are missing', async () => {
    const deep = path.join(folder, 'not', 'yet');
    await ensureConverted(smallConversion(deep));
    expect(await readdir(deep)).toContain(fileName);
  });

  const damages: readonly (readonly [string, () => Promise<void>])[] = [
    ['was truncated', async () => truncate(file, (await stat(file)).size - 1)],
    ['is empty', () => truncate(file, 0)],
    ['has one flipped bit', () => flipBit(file)],
    ['has something appended', () => writeFile(file, 'x', { flag: 'a' })],
    ['is missing', () => rm(file)],
    ['has no seal', () => rm(`${file}.json`)],
    ['has an empty seal', () => truncate(`${file}.json`, 0)],
    ['has a seal of another file', () => writeFile(`${file}.json`, JSON.stringify({ size: 1, crc32: 1 }))],
    ['has a seal that is no object', () => writeFile(`${file}.json`, 'null')],
  ];
  it.each(damages)('makes a file again that %s', async (_, damage) => {
    await converts();
    const before = await readFile(file);
    await damage();
    expect(await converts()).toBe(true);
    expect((await readFile(file)).equals(before)).toBe(true);
    expect(await converts()).toBe(false);
  });

  it('may run several times at once', async () => {
    let started = 0;
    await Promise.all(
      Array.from({ length: 4 }, () => ensureConverted(smallConversion(folder, (index) => (started += Number(index === 0))))),
    );
    expect(started).toBe(4);
    expect((await readdir(folder)).sort()).toEqual([fileName, `${fileName}.json`]);
    expect(await converts()).toBe(false);
  });

  it('may run in two processes at once', async () => {
    const outputs = await Promise.all([1, 2].map(() => run(process.execPath, [program, folder])));
    expect(outputs.map(({ stdout }) => stdout.trim())).toEqual([file, file]);
    expect(await converts()).toBe(false);
  });

  it('leaves nothing under the final name when its process is killed', async () => {
    await expect(run(process.execPath, [program, folder, 'die'])).rejects.toMatchObject({ signal: 'SIGKILL' });
    const left = await readdir(folder);
    expect(left).toHaveLength(1);
    expect(left[0]).toMatch(/^small-v1\.gguf\..+\.tmp$/);
    expect(await converts()).toBe(true);
  });

  it('stops when it is told to, and leaves nothing', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const conversion = { ...smallConversion(folder, () => controller.abort(reason)), signal: controller.signal };
    await expect(ensureConverted(conversion)).rejects.toBe(reason);
    expect(await readdir(folder)).toEqual([]);
  });

  it('leaves nothing when the weights cannot be read, and says why', async () => {
    const unreadable = smallConversion(folder, (index) => {
      if (index === 1) throw new RangeError('no such weight');
    });
    await expect(ensureConverted(unreadable)).rejects.toThrow(RangeError);
    expect(await readdir(folder)).toEqual([]);
  });

  it('says what to do when the folder cannot be made', async () => {
    const inFile = path.join(folder, 'file');
    await writeFile(inFile, '');
    await expectAdvice(ensureConverted(smallConversion(path.join(inFile, 'home'))));
    await expectAdvice(ensureConverted(smallConversion(inFile)));
  });

  it.skipIf(process.getuid?.() === 0)('says what to do when the folder is read-only', async () => {
    await chmod(folder, 0o500);
    await expectAdvice(ensureConverted(smallConversion(folder)));
    await chmod(folder, 0o700);
  });

  it('says what to do when there is no room, and leaves nothing', async () => {
    // A limit on file sizes stands in for a full disk: writing fails in the middle.
    const { stdout } = await run('/bin/sh', ['-c', 'ulimit -f 1000; exec "$0" "$@"', process.execPath, program, folder]);
    expect(stdout).toMatch(/^AutoglmError: The model cannot be written to .*AUTOGLM_HOME/);
    expect(await readdir(folder)).toEqual([]);
  });

  it('needs no writable folder once the file is there', async () => {
    await converts();
    await chmod(folder, 0o500);
    expect(await converts()).toBe(false);
    await chmod(folder, 0o700);
  });
});

async function expectAdvice(promise: Promise<unknown>): Promise<void> {
  const error = (await promise.catch((thrown: unknown) => thrown)) as AutoglmError;
  expect(error).toBeInstanceOf(AutoglmError);
  expect(error.code).toBe('engine_failed');
  expect(error.message).toMatch(/cannot be written to .*AUTOGLM_HOME/);
}

async function flipBit(file: string): Promise<void> {
  const handle = await open(file, 'r+');
  const position = 500_000;
  const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, position);
  await handle.write(Buffer.of((buffer[0] as number) ^ 1), 0, 1, position);
  await handle.close();
}
