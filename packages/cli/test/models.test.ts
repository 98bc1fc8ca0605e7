import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeTinyModel } from '../../engine/test/support/tiny-model.ts';
import { listModels } from '../src/models/models.ts';

describe('autoglm models', () => {
  let home: string;
  beforeAll(async () => {
    home = await mkdtemp(path.join(tmpdir(), 'autoglm-cli-models-'));
    for (const type of ['q8_0', 'q4_k'])
      await writeTinyModel(path.join(home, `minimind2-small-${type}-v1.gguf`), { architecture: 'llama', seed: 1, type: 'f32' });
    await mkdir(path.join(home, 'quantized'));
  });
  afterAll(() => rm(home, { recursive: true }));

  const list = (kvType: 'f16' | 'q8_0') => listModels(home, { contextLength: 1024, kvType }, 2 ** 40);

  it('tells the files of one name apart by the quantization that means them', async () => {
    const { models, available } = await list('f16');
    expect(models.map(({ name, quantization }) => [name, quantization])).toEqual([
      ['default', 'int8'],
      ['default', 'int4'],
    ]);
    expect(available).toEqual(['tinyllama', 'bge-small-zh', 'minilm']);
  });

  it('tells what is wrong with one file, and of the others what there is', async () => {
    const quantized = path.join(home, 'quantized');
    await mkdir(path.join(quantized, 'folder.gguf'));
    await writeFile(path.join(quantized, 'junk.gguf'), 'junk');
    await symlink(path.join(home, 'absent'), path.join(quantized, 'link.gguf'));
    const { models } = await list('f16');
    const ofQuantized = models.filter(({ path: file }) => path.dirname(file) === quantized);
    expect(ofQuantized.map(({ path: file, problem }) => [path.basename(file), problem]).toSorted()).toEqual([
      ['junk.gguf', expect.stringContaining('not a GGUF')],
      ['link.gguf', expect.stringContaining('no such file')],
    ]);
    expect(models.filter(({ problem }) => problem === null)).toHaveLength(2);
    await rm(quantized, { recursive: true });
  });

  it('counts keys and values in the type that the configuration gives them', async () => {
    const kv = async (kvType: 'f16' | 'q8_0') => (await list(kvType)).models[0]?.memory?.kv as number;
    expect((await kv('q8_0')) / (await kv('f16'))).toBeCloseTo(34 / 64);
  });
});
