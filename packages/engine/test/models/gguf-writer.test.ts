import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openGguf } from '../../src/ggml/gguf.ts';
import { loadGgml } from '../../src/ggml/library.ts';
import { GgmlType } from '../../src/ggml/types.ts';
import { writeGguf, type GgufContent, type GgufTensorSource, type GgufValue, type GgufWriteOptions } from '../../src/models/gguf-writer.ts';

const ggml = loadGgml();
const wave = (count: number) => Float32Array.from({ length: count }, (_, index) => Math.sin(index));
const tensor = (name: string, type: number, shape: number[]): GgufTensorSource => ({
  name,
  type,
  shape,
  read: () => wave(shape.reduce((a, b) => a * b)),
});

const metadata = new Map<string, GgufValue>([
  ['general.architecture', { type: 'string', value: 'llama' }],
  ['number', { type: 'u32', value: 0xffff_ffff }],
  ['fraction', { type: 'f32', value: 1e-5 }],
  ['yes', { type: 'bool', value: true }],
  ['no', { type: 'bool', value: false }],
  ['文字', { type: 'string', value: '你好 👋\n' }],
  ['empty', { type: 'string', value: '' }],
  ['words', { type: 'strings', value: ['Ġthe', '的', ''] }],
  ['integers', { type: 'i32s', value: [1, -3, 2 ** 31 - 1] }],
]);
const tensors = [
  tensor('vector', GgmlType.F32, [7]),
  tensor('half', GgmlType.F16, [5, 3]),
  tensor('blocks', GgmlType.Q8_0, [64, 3]),
  tensor('small', GgmlType.Q4_0, [32, 1]),
];

describe('writeGguf', () => {
  let folder: string;
  let file: string;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-gguf-'));
    file = path.join(folder, 'test.gguf');
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function write(content: GgufContent, options?: GgufWriteOptions) {
    const handle = await open(file, 'w');
    try {
      return await writeGguf(ggml, handle, content, options);
    } finally {
      await handle.close();
    }
  }

  it('writes metadata that ggml reads', async () => {
    await write({ metadata, tensors: [] });
    const gguf = openGguf(ggml, file);
    expect(gguf.number('number')).toBe(0xffff_ffff);
    expect(gguf.number('fraction')).toBe(Math.fround(1e-5));
    expect(gguf.boolean('yes')).toBe(true);
    expect(gguf.boolean('no')).toBe(false);
    expect(gguf.string('文字')).toBe('你好 👋\n');
    expect(gguf.string('empty')).toBe('');
    gguf.close();

    const handle = ggml.ggufInitFromFile(file, { no_alloc: true, ctx: null }) as bigint;
    const words = ggml.ggufFindKey(handle, 'words');
    const integers = ggml.ggufFindKey(handle, 'integers');
    expect(Array.from({ length: ggml.ggufArrayCount(handle, words) }, (_, index) => ggml.ggufArrayString(handle, words, index))).toEqual([
      'Ġthe',
      '的',
      '',
    ]);
    expect(ggml.ggufArrayCount(handle, integers)).toBe(3);
    ggml.ggufFree(handle);
  });

  it('writes tensors where ggml looks for them, in the type wanted', async () => {
    await write({ metadata, tensors });
    const gguf = openGguf(ggml, file);
    const bytes = await readFile(file);
    expect([...gguf.tensors.keys()]).toEqual(tensors.map(({ name }) => name));
    for (const { name, type, shape, read } of tensors) {
      const found = gguf.tensors.get(name);
      expect(found).toMatchObject({ type, shape: [shape[0], shape[1] ?? 1, 1, 1] });
      const { offset = -1, size = 0 } = found ?? {};
      expect(offset % 32).toBe(0);
      const expected = new Uint8Array(size);
      ggml.quantizeChunk(type, read() as Float32Array, expected, 0, shape[1] ?? 1, shape[0] as number, null);
      expect(new Uint8Array(bytes.subarray(offset, offset + size)), name).toEqual(expected);
    }
    gguf.close();
  });

  it('says what it wrote', async () => {
    const written = await write({ metadata, tensors });
    const bytes = await readFile(file);
    expect(written).toEqual({ size: bytes.length, crc32: crc32(bytes) });
  });

  it('tells its progress, up to 1', async () => {
    const fractions: number[] = [];
    await write({ metadata, tensors }, { onProgress: (fraction) => fractions.push(fraction) });
    expect(fractions).toEqual([28, 58, 262, 280].map((bytes) => bytes / 280));
  });

  it('stops between tensors with the reason of the signal', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    let progress = 0;
    const onProgress = () => {
      progress += 1;
      controller.abort(reason);
    };
    await expect(write({ metadata, tensors }, { signal: controller.signal, onProgress })).rejects.toBe(reason);
    expect(progress).toBe(1);
  });

  it('refuses a tensor with too few values', async () => {
    const wrong = { ...tensor('short', GgmlType.F32, [8, 2]), read: () => wave(8) };
    await expect(write({ metadata, tensors: [wrong] })).rejects.toThrow('short: 8 values for shape 8×2');
  });
});
