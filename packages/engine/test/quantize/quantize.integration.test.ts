import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import koffi from 'koffi';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openGguf } from '../../src/ggml/gguf.ts';
import { loadGgml } from '../../src/ggml/library.ts';
import { GgmlType } from '../../src/ggml/types.ts';
import { readGgufHeader } from '../../src/models/gguf-header.ts';
import { ggufSource, quantizeModel, type TargetType } from '../../src/quantize/quantize.ts';
import { writeTinyModel, type TinyModelOptions } from '../support/tiny-model.ts';

const ggml = loadGgml();

/** llama.cpp's own quantizer, single-threaded. */
function quantizeWithLibllama(source: string, target: string, fileType: number): void {
  const library = ggml.libraries.llama;
  const params = koffi.struct({ bytes: koffi.array('uint8', 512, 'Typed') });
  const defaults = library.func('llama_model_quantize_default_params', params, []) as unknown as () => { bytes: Uint8Array };
  const quantize = library.func('llama_model_quantize', 'uint32', ['str', 'str', koffi.pointer(params)]) as unknown as (
    a: string,
    b: string,
    c: { bytes: Uint8Array },
  ) => number;
  const options = defaults();
  new DataView(options.bytes.buffer, options.bytes.byteOffset).setInt32(0, 1, true);
  new DataView(options.bytes.buffer, options.bytes.byteOffset).setInt32(4, fileType, true);
  expect(quantize(source, target, options)).toBe(0);
}

async function tensorBytes(file: string): Promise<Map<string, { type: string; bytes: Buffer }>> {
  const gguf = openGguf(ggml, file);
  const content = await readFile(file);
  const found = new Map(
    [...gguf.tensors.values()].map(({ name, type, offset, size }) => [
      name,
      { type: ggml.typeName(type), bytes: content.subarray(offset, offset + size) },
    ]),
  );
  gguf.close();
  return found;
}

describe('a quantized model', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-quantize-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  async function tiny(name: string, options: Partial<TinyModelOptions>): Promise<string> {
    const file = path.join(folder, `${name}.gguf`);
    await writeTinyModel(file, { architecture: 'llama', seed: 11, vocabulary: 500, type: 'f32', ...options });
    return file;
  }
  const quantize = async (source: string, target: string, type: TargetType) =>
    quantizeModel(await ggufSource(ggml, source), target, { type, threads: 2 });

  const wide = { hidden: 256, feedForward: 512 };
  const sources: readonly (readonly [string, Partial<TinyModelOptions>])[] = [
    ['ten layers, f32', { ...wide, layers: 10 }],
    ['tied embeddings, f16', { ...wide, type: 'f16', tiedEmbeddings: true, architecture: 'qwen3' }],
    ['biases, bf16', { ...wide, type: 'bf16', architecture: 'qwen2' }],
    ['glm4, f16', { ...wide, type: 'f16', architecture: 'glm4', attentionBias: true }],
    // 96 and 160 are no multiples of 256; 80 is none of 32 either.
    ['rows that blocks of 256 do not divide', { hidden: 96, feedForward: 160, layers: 3, heads: 3, kvHeads: 1 }],
    ['rows that no block divides', { hidden: 80, feedForward: 80, heads: 2 }],
  ];
  const types: readonly (readonly [TargetType, number])[] = [
    ['q8_0', 7],
    ['q6_k', 18],
    ['q4_k', 15],
    ['q4_0', 2],
    ['f16', 1],
  ];

  for (const [name, options] of sources) {
    it(`has the bytes that llama.cpp's quantizer makes: ${name}`, async () => {
      const source = await tiny(name, options);
      for (const [type, fileType] of types) {
        const [ours, theirs] = [path.join(folder, 'ours.gguf'), path.join(folder, 'theirs.gguf')];
        await quantize(source, ours, type);
        quantizeWithLibllama(source, theirs, fileType);
        const expected = await tensorBytes(theirs);
        const found = await tensorBytes(ours);
        expect([...found.keys()].toSorted()).toEqual([...expected.keys()].toSorted());
        for (const [tensor, { type: ggmlType, bytes }] of expected) {
          expect(`${tensor} ${found.get(tensor)?.type}`, type).toBe(`${tensor} ${ggmlType}`);
          expect(found.get(tensor)?.bytes.equals(bytes), `${tensor} as ${type}`).toBe(true);
        }
      }
    });
  }

  it('has the metadata of its source, but for its types', async () => {
    const source = await tiny('metadata', wide);
    const target = path.join(folder, 'q.gguf');
    const sizes = await quantize(source, target, 'q4_k');
    const [before, after] = [await readGgufHeader(source), await readGgufHeader(target)];
    expect(after.number('general.file_type')).toBe(15);
    for (const [key, value] of before.values) expect(after.values.get(key), key).toEqual(value);
    expect([...after.values.keys()].filter((key) => !before.values.has(key))).toEqual([
      'general.file_type',
      'general.quantization_version',
    ]);
    expect(sizes.types).toEqual({ F32: 5, Q4_K: 13, Q6_K: 3 });
    expect(after.size).toBeGreaterThan(sizes.bytes);
    expect(sizes.sourceBytes / sizes.bytes).toBeGreaterThan(4.5);
  });

  it('is not made of one that is quantized, is cut or is no model, and nothing is left then', async () => {
    const home = await mkdtemp(path.join(folder, 'refused-'));
    const target = path.join(home, 'out.gguf');
    await expect(quantize(await tiny('quantized', { type: 'q8_0' }), target, 'q4_0')).rejects.toThrow(
      /is quantized already \(token_embd\.weight is Q8_0\).*f32, f16 or bf16/,
    );
    const source = await tiny('cut', wide);
    await truncate(source, (await readGgufHeader(source)).size - 1000);
    await expect(quantize(source, target, 'q4_0')).rejects.toThrow(/ends inside the tensor/);
    const claims = await tiny('claims', wide);
    const bytes = await readFile(claims);
    const name = 'token_embd.weight';
    bytes.writeBigUInt64LE(2n ** 40n, bytes.indexOf(name) + name.length + 4);
    await writeFile(claims, bytes);
    await expect(quantize(claims, target, 'q4_0')).rejects.toThrow(/ends inside the tensor token_embd\.weight/);
    await truncate(source, 1000);
    await expect(quantize(source, target, 'q4_0')).rejects.toThrow(/ends inside its header/);
    await writeFile(source, 'GGUX'.padEnd(100));
    await expect(quantize(source, target, 'q4_0')).rejects.toThrow(/is not a GGUF file/);
    expect(await readdir(home)).toEqual([]);
  });

  it('can be given up, and nothing is left then', async () => {
    const home = await mkdtemp(path.join(folder, 'aborted-'));
    const controller = new AbortController();
    const reason = new Error('enough');
    const source = await ggufSource(ggml, await tiny('aborted', wide));
    const options = { type: 'q8_0', threads: 2, signal: controller.signal, onProgress: () => controller.abort(reason) } as const;
    await expect(quantizeModel(source, path.join(home, 'out.gguf'), options)).rejects.toBe(reason);
    expect(await readdir(home)).toEqual([]);
  });

  it('is cut in pieces where a tensor is large, with no piece lost', async () => {
    // 3,000,000 values: two pieces of a tensor.
    const source = await tiny('large', { hidden: 512, feedForward: 6000, layers: 1, type: 'f16' });
    const [ours, theirs] = [path.join(folder, 'ours.gguf'), path.join(folder, 'theirs.gguf')];
    await quantize(source, ours, 'q8_0');
    quantizeWithLibllama(source, theirs, 7);
    const expected = await tensorBytes(theirs);
    for (const [name, { bytes }] of await tensorBytes(ours)) expect(expected.get(name)?.bytes.equals(bytes), name).toBe(true);
    expect(openGguf(ggml, ours).tensors.get('blk.0.ffn_up.weight')?.type).toBe(GgmlType.Q8_0);
  });
});
