import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readGgufHeader } from '../../src/models/gguf-header.ts';
import { resolveModel } from '../../src/models/resolve.ts';
import type { Quantization } from '../../src/models/prepare-options.ts';
import { openTestModel } from '../support/default-model.ts';
import { writeTinyModel } from '../support/tiny-model.ts';

describe('model_config.quantization', () => {
  let folder: string;
  let home: string;
  let full: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-quantization-'));
    home = path.join(folder, 'home');
    full = path.join(folder, 'tiny-f16.gguf');
    await writeTinyModel(full, { architecture: 'qwen2', seed: 3, vocabulary: 500, type: 'f16', hidden: 256, feedForward: 512 });
  });
  afterAll(() => rm(folder, { recursive: true }));

  const resolve = async (model: string, quantization?: Quantization) => (await resolveModel({ model, home, quantization })).path;

  it.each([
    ['none', 1, 52_000_000],
    ['int8', 7, 27_700_000],
    ['int4', 15, 17_500_000],
  ] as const)('makes the default model %s', async (quantization, fileType, size) => {
    const header = await readGgufHeader(await resolve('default', quantization));
    expect(header.number('general.file_type')).toBe(fileType);
    expect(Math.abs(header.size - size)).toBeLessThan(300_000);
  });

  it('leaves a GGUF as it is when nothing is asked of it', async () => {
    expect(await resolve(full)).toBe(full);
    expect(await resolve(full, 'none')).toBe(full);
  });

  it('makes another of a GGUF once, which the engine computes with', async () => {
    const made = await resolve(full, 'int4');
    expect(path.dirname(made)).toBe(path.join(home, 'quantized'));
    expect((await readGgufHeader(made)).number('general.file_type')).toBe(15);
    expect(await resolve(full, 'int4')).toBe(made);
    expect((await readdir(path.dirname(made))).filter((name) => name.endsWith('.gguf'))).toHaveLength(1);
    const model = openTestModel(made);
    expect(model.info.weightType).toBe('Q4_K');
    expect(model.runner.prefill(0, Int32Array.of(1, 2, 3), 0, true)?.every(Number.isFinite)).toBe(true);
    model.close();
  });

  it('takes a file that is so quantized already, and refuses one that is quantized otherwise', async () => {
    const int8 = await resolve(full, 'int8');
    expect(await resolve(int8, 'int8')).toBe(int8);
    await expect(resolve(int8, 'int4')).rejects.toThrow(
      /quantization is int4, but tiny-f16-.*-q8_0-v2\.gguf is quantized already \(Q8_0\)/,
    );
  });
});
