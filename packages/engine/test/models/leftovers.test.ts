import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { folderPrefix } from '../../src/models/npm-packages.ts';
import { resolveModel } from '../../src/models/resolve.ts';
import { writeTinyModel } from '../support/tiny-model.ts';

describe('a start', () => {
  let home: string;
  beforeEach(async () => {
    home = await mkdtemp(path.join(tmpdir(), 'autoglm-leftovers-'));
  });
  afterEach(() => rm(home, { recursive: true }));

  it('removes what killed processes left of any model, and no model', async () => {
    const { pid } = spawnSync(process.execPath, ['--version']);
    const model = path.join(home, 'own.gguf');
    await writeTinyModel(model, { architecture: 'llama', seed: 1, vocabulary: 320 });
    const kept = ['quantized/other-0123456789ab-q8_0-v1.gguf', 'quantized/notes.tmp', `being-made.gguf.${randomUUID()}.tmp`];
    const left = [
      `other.gguf.${randomUUID()}.tmp`,
      `other.gguf.${randomUUID()}.seal.tmp`,
      `quantized/other-0123456789ab-q4_k-v1.gguf.${randomUUID()}.tmp`,
    ];
    await mkdir(path.join(home, 'quantized'));
    await mkdir(path.join(home, `${folderPrefix(pid)}aaaaaa`, 'node_modules'), { recursive: true });
    for (const name of [...kept, ...left]) await writeFile(path.join(home, name), 'x');
    const yesterday = Date.now() / 1000 - 86_400;
    for (const name of [...kept.slice(0, 2), ...left]) await utimes(path.join(home, name), yesterday, yesterday);
    await resolveModel({ model, home });
    expect((await readdir(home, { recursive: true })).toSorted()).toEqual(['own.gguf', 'quantized', ...kept].toSorted());
  });

  it('does without a cache folder', async () => {
    const model = path.join(home, 'own.gguf');
    await writeTinyModel(model, { architecture: 'llama', seed: 1, vocabulary: 320 });
    expect(await resolveModel({ model, home: path.join(home, 'nowhere') })).toEqual({ path: model, source: 'own' });
  });
});
