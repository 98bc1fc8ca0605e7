import { open, readFile } from 'node:fs/promises';
import path from 'node:path';
import { loadGgml } from '../../src/ggml/library.ts';
import { GgmlType } from '../../src/ggml/types.ts';
import { writeGguf, type GgufMetadata, type GgufTensorSource, type GgufValue } from '../../src/models/gguf-writer.ts';
import { tokenizerMetadata, type TokenizerConfig, type TokenizerJson } from '../../src/models/hf-tokenizer.ts';
import { locateInstalledPackage, weightsPackage } from '../../src/models/weights-package.ts';
import { createRandom, type Random } from '../../src/sampler/random.ts';

export interface TinyModelOptions {
  readonly architecture: string;
  readonly seed: number;
  readonly type?: 'f32' | 'f16' | 'bf16' | 'q8_0' | 'q4_0' | 'q4_k' | 'q6_k';
  readonly layers?: number;
  readonly hidden?: number;
  readonly heads?: number;
  readonly kvHeads?: number;
  readonly feedForward?: number;
  /** Of q, k and v; hidden / heads when not given. */
  readonly headLength?: number;
  /** Dimensions of a head that RoPE turns; all when not given. */
  readonly ropeDimensions?: number;
  /** qwen2 always has them; of glm4 the smaller models. */
  readonly attentionBias?: boolean;
  /** How many of the tokenizer's tokens to keep; all when not given. At least 259: control tokens and single bytes. */
  readonly vocabulary?: number;
  readonly tiedEmbeddings?: boolean;
  readonly contextLength?: number;
  /** Queries of zeros: every token attends to all before it and itself alike. */
  readonly attendsEvenly?: boolean;
  /** How text is split before pairs are merged, by llama.cpp's name; the default model's way when not given. */
  readonly preTokenizer?: string;
}

type Sizes = Required<Omit<TinyModelOptions, 'preTokenizer'>>;

const types = {
  f32: GgmlType.F32,
  f16: GgmlType.F16,
  bf16: GgmlType.BF16,
  q4_k: GgmlType.Q4_K,
  q6_k: GgmlType.Q6_K,
  q8_0: GgmlType.Q8_0,
  q4_0: GgmlType.Q4_0,
} as const;

/** A GGUF of random weights with the default model's tokenizer: small, and nothing but its mechanism means anything. */
export async function writeTinyModel(file: string, options: TinyModelOptions): Promise<void> {
  const { tokenizer, config } = await readTokenizer();
  const vocabulary = options.vocabulary ?? Object.keys(tokenizer.model.vocab).length;
  const sizes: Sizes = {
    type: 'f32',
    layers: 2,
    hidden: 64,
    heads: 4,
    kvHeads: 2,
    feedForward: 128,
    tiedEmbeddings: false,
    contextLength: 2048,
    attendsEvenly: false,
    attentionBias: options.architecture === 'qwen2',
    ...lengths(options),
    ...options,
    vocabulary,
  };
  const metadata = new Map([...hyperparameters(sizes), ...tokenizerMetadata(truncate(tokenizer, vocabulary), config)]);
  if (options.preTokenizer !== undefined) metadata.set('tokenizer.ggml.pre', { type: 'string', value: options.preTokenizer });
  const handle = await open(file, 'w');
  try {
    await writeGguf(loadGgml(), handle, { metadata, tensors: randomTensors(sizes) });
  } finally {
    await handle.close();
  }
}

function lengths({ hidden = 64, heads = 4, headLength = hidden / heads, ropeDimensions = headLength }: TinyModelOptions) {
  return { headLength, ropeDimensions };
}

async function readTokenizer(): Promise<{ tokenizer: TokenizerJson; config: TokenizerConfig }> {
  const folder = locateInstalledPackage(weightsPackage.name);
  const read = (name: string) => readFile(path.join(folder, name), 'utf8');
  return { tokenizer: JSON.parse(await read('tokenizer.json')), config: JSON.parse(await read('tokenizer_config.json')) };
}

/** The first tokens, and the merges that make only these. */
function truncate(tokenizer: TokenizerJson, vocabulary: number): TokenizerJson {
  const { model } = tokenizer;
  const vocab = Object.fromEntries(Object.entries(model.vocab).filter(([, id]) => id < vocabulary));
  return {
    ...tokenizer,
    model: { ...model, vocab, merges: model.merges.filter((pair) => Object.hasOwn(vocab, (pair as readonly string[]).join(''))) },
  };
}

function hyperparameters(sizes: Sizes): GgufMetadata {
  const key = (name: string, value: number, kind: 'u32' | 'f32' = 'u32'): [string, GgufValue] => [
    `${sizes.architecture}.${name}`,
    { type: kind, value },
  ];
  return new Map<string, GgufValue>([
    ['general.architecture', { type: 'string', value: sizes.architecture }],
    key('block_count', sizes.layers),
    key('context_length', sizes.contextLength),
    key('embedding_length', sizes.hidden),
    key('feed_forward_length', sizes.feedForward),
    key('attention.head_count', sizes.heads),
    key('attention.head_count_kv', sizes.kvHeads),
    key('attention.key_length', sizes.headLength),
    key('attention.value_length', sizes.headLength),
    key('rope.dimension_count', sizes.ropeDimensions),
    key('attention.layer_norm_rms_epsilon', 1e-6, 'f32'),
    key('rope.freq_base', 10_000, 'f32'),
    key('vocab_size', sizes.vocabulary),
  ]);
}

function randomTensors(sizes: Sizes): GgufTensorSource[] {
  const { hidden, vocabulary, layers, tiedEmbeddings, type, seed } = sizes;
  const random = createRandom(seed);
  const layer = layerTensors[sizes.architecture] ?? preNormLayer;
  return [
    matrix(random, type, 'token_embd.weight', hidden, vocabulary),
    norm(random, 'output_norm.weight', hidden),
    ...(tiedEmbeddings ? [] : [matrix(random, type, 'output.weight', hidden, vocabulary)]),
    ...Array.from({ length: layers }, (_, index) => layer(random, sizes, `blk.${index}`)).flat(),
  ];
}

/** Architectures whose layers have other tensors than llama's. */
const layerTensors: Readonly<Record<string, typeof preNormLayer>> = {
  qwen3: (random, sizes, at) => [
    ...preNormLayer(random, sizes, at),
    norm(random, `${at}.attn_q_norm.weight`, sizes.headLength),
    norm(random, `${at}.attn_k_norm.weight`, sizes.headLength),
  ],
  glm4: (random, sizes, at) => [
    ...attention(random, sizes, at),
    norm(random, `${at}.post_attention_norm.weight`, sizes.hidden),
    norm(random, `${at}.ffn_norm.weight`, sizes.hidden),
    matrix(random, sizes.type, `${at}.ffn_up.weight`, sizes.hidden, 2 * sizes.feedForward),
    matrix(random, sizes.type, `${at}.ffn_down.weight`, sizes.feedForward, sizes.hidden),
    norm(random, `${at}.post_ffw_norm.weight`, sizes.hidden),
    ...biases(random, sizes, at),
  ],
};

function preNormLayer(random: Random, sizes: Sizes, at: string): GgufTensorSource[] {
  const { hidden, feedForward, type } = sizes;
  return [
    ...attention(random, sizes, at),
    norm(random, `${at}.ffn_norm.weight`, hidden),
    matrix(random, type, `${at}.ffn_gate.weight`, hidden, feedForward),
    matrix(random, type, `${at}.ffn_up.weight`, hidden, feedForward),
    matrix(random, type, `${at}.ffn_down.weight`, feedForward, hidden),
    ...biases(random, sizes, at),
  ];
}

function attention(random: Random, { hidden, heads, kvHeads, headLength, type, attendsEvenly }: Sizes, at: string): GgufTensorSource[] {
  return [
    norm(random, `${at}.attn_norm.weight`, hidden),
    attendsEvenly
      ? zeros(`${at}.attn_q.weight`, hidden, heads * headLength)
      : matrix(random, type, `${at}.attn_q.weight`, hidden, heads * headLength),
    matrix(random, type, `${at}.attn_k.weight`, hidden, kvHeads * headLength),
    matrix(random, type, `${at}.attn_v.weight`, hidden, kvHeads * headLength),
    matrix(random, type, `${at}.attn_output.weight`, heads * headLength, hidden),
  ];
}

function biases(random: Random, { attentionBias, heads, kvHeads, headLength }: Sizes, at: string): GgufTensorSource[] {
  if (!attentionBias) return [];
  return [
    bias(random, `${at}.attn_q.bias`, heads * headLength),
    bias(random, `${at}.attn_k.bias`, kvHeads * headLength),
    bias(random, `${at}.attn_v.bias`, kvHeads * headLength),
  ];
}

/** Such a scale keeps the size of the activations, so that no logit drowns the others. */
function matrix(random: Random, type: keyof typeof types, name: string, columns: number, rows: number): GgufTensorSource {
  return { name, type: types[type], shape: [columns, rows], read: () => uniform(random, columns * rows, 0, Math.sqrt(3 / columns)) };
}

function zeros(name: string, columns: number, rows: number): GgufTensorSource {
  return { name, type: GgmlType.F32, shape: [columns, rows], read: () => new Float32Array(columns * rows) };
}

function norm(random: Random, name: string, length: number): GgufTensorSource {
  return { name, type: GgmlType.F32, shape: [length], read: () => uniform(random, length, 1, 0.2) };
}

function bias(random: Random, name: string, length: number): GgufTensorSource {
  return { name, type: GgmlType.F32, shape: [length], read: () => uniform(random, length, 0, 0.5) };
}

/** Numbers in [centre − radius, centre + radius). */
function uniform(random: Random, count: number, centre: number, radius: number): Float32Array {
  const values = new Float32Array(count);
  for (let index = 0; index < count; index += 1) values[index] = centre + radius * (random() * 2 - 1);
  return values;
}
