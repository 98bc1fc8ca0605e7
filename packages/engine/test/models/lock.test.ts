import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { takeLock, waitForLock } from '../../src/models/lock.ts';

describe('a lock', () => {
  let folder: string;
  let lock: string;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-lock-'));
    lock = path.join(folder, 'a.lock');
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function ownedBy(pid: number): Promise<void> {
    await mkdir(lock);
    await writeFile(path.join(lock, String(pid)), '');
  }

  it('is taken by one, and by the next when that one lets go', async () => {
    const results = await Promise.all(Array.from({ length: 8 }, () => takeLock(lock)));
    const [first, ...others] = results.filter((result) => result.taken);
    expect(others).toEqual([]);
    await first?.release();
    expect(await readdir(folder)).toEqual([]);
    const again = await takeLock(lock);
    expect(again.taken).toBe(true);
  });

  it('names the process that has it', async () => {
    await ownedBy(process.ppid);
    expect(await takeLock(lock)).toEqual({ taken: false, owner: process.ppid });
  });

  it('is taken over from a process that is gone, even one that had this id', async () => {
    for (const pid of [spawnSync('true').pid, process.pid]) {
      await ownedBy(pid);
      const result = await takeLock(lock);
      expect(result.taken).toBe(true);
      if (result.taken) await result.release();
      expect(await readdir(folder)).toEqual([]);
    }
  });

  it('is waited for, and says for whom', async () => {
    const first = await takeLock(lock);
    if (!first.taken) expect.fail();
    const told = Promise.withResolvers<number>();
    const second = waitForLock(lock, { onWait: told.resolve });
    expect(await told.promise).toBe(process.pid);
    await first.release();
    await (await second)();
    expect(await readdir(folder)).toEqual([]);
  });

  it('is not waited for once the caller gives up', async () => {
    await ownedBy(process.ppid);
    const controller = new AbortController();
    const reason = new Error('enough');
    const waiting = waitForLock(lock, { signal: controller.signal, onWait: () => setImmediate(() => controller.abort(reason)) });
    await expect(waiting).rejects.toBe(reason);
  });
});
