import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { makeFolder } from '../../src/models/make-folder.ts';

function useFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'autoglm-folders-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

it('makes a folder and those above it, and leaves what is there', async () => {
  const folder = path.join(useFolder(), 'a', 'b', 'c');
  await Promise.all([makeFolder(folder), makeFolder(folder), makeFolder(path.dirname(folder))]);
  await makeFolder(folder);
  expect(statSync(folder).isDirectory()).toBe(true);
});

it('says why there cannot be one', async () => {
  const file = path.join(useFolder(), 'file');
  writeFileSync(file, '');
  await expect(makeFolder(file)).rejects.toMatchObject({ code: 'EEXIST' });
  await expect(makeFolder(path.join(file, 'a', 'b'))).rejects.toMatchObject({ code: 'ENOTDIR' });
});

it.runIf(process.platform === 'linux').each(['/proc/autoglm', '/proc/autoglm/a/b'])(
  'ends where no file system makes one: %s',
  async (folder) => {
    await expect(makeFolder(folder)).rejects.toThrow("no folder can be made in /proc, mkdir '/proc/autoglm'");
  },
);
