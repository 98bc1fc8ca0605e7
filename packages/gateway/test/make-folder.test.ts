import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { makeFolder } from '../src/common/make-folder.ts';

function useFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'autoglm-folders-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

it('makes a folder and those above it, and tells whether it had to', () => {
  const folder = path.join(useFolder(), 'a', 'b');
  expect([makeFolder(folder), makeFolder(folder), makeFolder(path.dirname(folder))]).toEqual([true, false, false]);
  expect(statSync(folder).isDirectory()).toBe(true);
});

it('says why there cannot be one', () => {
  const file = path.join(useFolder(), 'file');
  writeFileSync(file, '');
  expect(() => makeFolder(file)).toThrow('EEXIST');
  expect(() => makeFolder(path.join(file, 'a', 'b'))).toThrow('ENOTDIR');
});

it.runIf(process.platform === 'linux').each(['/proc/autoglm', '/proc/autoglm/a/b'])('ends where no file system makes one: %s', (folder) => {
  expect(() => makeFolder(folder)).toThrow("no folder can be made in /proc, mkdir '/proc/autoglm'");
});
