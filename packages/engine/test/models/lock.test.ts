import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { nameOf, takeLock, waitForLock } from '../../src/models/lock.ts';

describe('a lock', () => {
  let folder: string;
  let lock: string;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-lock-'));
    lock = path.join(folder, 'a.lock');
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function ownedBy(pid: number, name = nameOf(pid)): Promise<void> {
    await mkdir(lock);
    await writeFile(path.join(lock, name), '');
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
    expect(await takeLock(lock)).toEqual({ taken: false, owner: String(process.ppid) });
  });

  it('is left to a process of another host, which nobody here can ask, until it has been silent for long', async () => {
    const name = `00000000-${process.pid}`;
    await ownedBy(process.pid, name);
    expect(await takeLock(lock)).toEqual({ taken: false, owner: `${process.pid} of another host` });
    const longAgo = Date.now() / 1000 - 180;
    await utimes(path.join(lock, name), longAgo, longAgo);
    const result = await takeLock(lock);
    expect([result.taken, await readdir(lock)]).toEqual([true, [nameOf(process.pid)]]);
    if (result.taken) await result.release();
    expect(await readdir(folder)).toEqual([]);
  });

  it('is as new as any when it is taken over: another host, which waited for the same one, does not take it over in turn', async () => {
    const name = `00000000-${process.pid}`;
    await ownedBy(process.pid, name);
    const longAgo = Date.now() / 1000 - 180;
    await utimes(path.join(lock, name), longAgo, longAgo);
    const result = await takeLock(lock);
    expect((await stat(path.join(lock, nameOf(process.pid)))).mtimeMs).toBeGreaterThan((longAgo + 120) * 1000);
    if (result.taken) await result.release();
  });

  it('says that its owner lives for as long as it is held', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const result = await takeLock(lock);
    const file = path.join(lock, nameOf(process.pid));
    await utimes(file, 0, 0);
    vi.advanceTimersByTime(10_000);
    vi.useRealTimers();
    while ((await stat(file)).mtimeMs === 0) await new Promise((resolve) => setImmediate(resolve));
    if (result.taken) await result.release();
    expect(await readdir(folder)).toEqual([]);
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

  it('is taken over from a process that is gone though another has its id now', async () => {
    const [host, pid] = nameOf(process.ppid).split('-');
    await ownedBy(process.ppid, `${host}-${pid}-1`);
    const result = await takeLock(lock);
    expect(result.taken).toBe(true);
    if (result.taken) await result.release();
  });

  it('is waited for, and says for whom', async () => {
    const first = await takeLock(lock);
    if (!first.taken) expect.fail();
    const told = Promise.withResolvers<string>();
    const second = waitForLock(lock, { onWait: told.resolve });
    expect(await told.promise).toBe(String(process.pid));
    await first.release();
    await (
      await second
    )();
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
