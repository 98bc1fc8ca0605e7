import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { AutoglmError } from '@open-autoglm/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { resolveModel } from '../../src/models/resolve.ts';

function header(version: number, tensorCount: number, magic = 'GGUF'): Buffer {
  const bytes = Buffer.alloc(24);
  bytes.write(magic, 'latin1');
  bytes.writeUInt32LE(version, 4);
  bytes.writeBigUInt64LE(BigInt(tensorCount), 8);
  return bytes;
}

describe('a model given by its path', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-path-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  const resolve = (model: string) => resolveModel({ model, home: path.join(folder, 'unused') });

  it.each([2, 3])('is taken with GGUF version %i', async (version) => {
    const file = path.join(folder, `qwen-${version}.gguf`);
    await writeFile(file, header(version, 1));
    expect(await resolve(file)).toEqual({ path: file, source: `qwen-${version}` });
  });

  const refused: readonly (readonly [string, string | Buffer, RegExp])[] = [
    ['empty.gguf', '', /is empty/],
    ['cut.gguf', header(3, 1).subarray(0, 12), /ends inside its header/],
    ['old.gguf', header(1, 1), /version 1 is too old/],
    ['new.gguf', header(4, 1), /version 4 is newer/],
    ['damaged.gguf', 'GGUF and then nothing that makes sense', /header is damaged/],
    ['big.gguf', header(0x0300_0000, 1), /big-endian/],
    ['vocabulary.gguf', header(3, 0), /no weights/],
    [
      'model.safetensors',
      Buffer.concat([Buffer.of(0x88, 1, 0, 0, 0, 0, 0, 0), Buffer.from('{"__metadata__":{"format":"pt"}}')]),
      /safetensors.*folder that it lies in/,
    ],
    ['pytorch_model.bin', 'PK\u0003\u0004', /PyTorch.*convert_hf_to_gguf/],
    ['pointer.gguf', 'version https://git-lfs.github.com/spec/v1\n', /git lfs pull/],
    ['page.gguf', '<!doctype html><html>', /web page/],
    ['ancient.bin', header(1, 1, 'tjgg'), /older than GGUF/],
    ['notes.txt', 'hello', /not a GGUF file/],
  ];
  it.each(refused)('is refused when it is %s', async (name, content, message) => {
    const file = path.join(folder, name);
    await writeFile(file, content);
    const error = (await resolve(file).catch((thrown: unknown) => thrown)) as AutoglmError;
    expect(error).toBeInstanceOf(AutoglmError);
    expect(error.code).toBe('engine_failed');
    expect(error.message).toMatch(message);
    expect(error.message).toContain(file);
  });

  it('is refused when it is a folder, is not there or is a device', async () => {
    await mkdir(path.join(folder, 'checkpoint'));
    await expect(resolve(path.join(folder, 'checkpoint'))).rejects.toThrow(/is a folder: name the GGUF file/);
    await expect(resolve(path.join(folder, 'missing.gguf'))).rejects.toThrow(/no such file/);
    await expect(resolve('/dev/null')).rejects.toThrow(/not a file/);
  });

  it('is, as an unknown name, answered with the known ones', async () => {
    await expect(resolve('llama-9000')).rejects.toThrow(/llama-9000 cannot be used: there is no such file.*"default" or "tinyllama"/);
  });
});
