import { GgmlType } from '../ggml/types.ts';
import type { GgufContent, GgufTensorSource, GgufValue } from './gguf-writer.ts';
import { wordPieceMetadata, type WordPieceJson } from './wordpiece.ts';

/** What a converter knows of its one model; files of weights do not tell all of it. */
export interface BertModel {
  readonly name: string;
  readonly license: string;
  readonly layerCount: number;
  readonly embeddingLength: number;
  readonly feedForwardLength: number;
  readonly headCount: number;
  readonly contextLength: number;
  /** Of which states an embedding is made, as the model was trained: the mean of all tokens', or that of [CLS]. */
  readonly pooling: keyof typeof poolings;
}

/** llama.cpp's numbers. */
const poolings = { mean: 1, cls: 2 } as const;
const normEpsilon = 1e-12;
const q8FileType = 7;

export type BertTensor = Pick<GgufTensorSource, 'shape' | 'read'>;

export interface BertPair {
  readonly weight: BertTensor;
  readonly bias: BertTensor;
}

/** Where the weights are found; shapes are ggml's, the innermost first. */
export interface BertWeights {
  table(name: 'word_embeddings' | 'position_embeddings' | 'token_type_embeddings'): BertTensor;
  linear(layer: number, name: 'query' | 'key' | 'value' | 'attention_output' | 'up' | 'down'): BertPair;
  norm(layer: number, name: 'attention' | 'output'): BertPair;
  embeddingsNorm(): BertPair;
}

/** A GGUF of llama.cpp's architecture `bert`: matrices as Q8_0, everything else as it is. */
export function bertGguf(model: BertModel, weights: BertWeights, tokenizer: WordPieceJson): GgufContent {
  const number = (key: string, value: number): [string, GgufValue] => [`bert.${key}`, { type: 'u32', value }];
  return {
    metadata: new Map<string, GgufValue>([
      ['general.architecture', { type: 'string', value: 'bert' }],
      ['general.type', { type: 'string', value: 'model' }],
      ['general.name', { type: 'string', value: model.name }],
      ['general.license', { type: 'string', value: model.license }],
      ['general.file_type', { type: 'u32', value: q8FileType }],
      number('block_count', model.layerCount),
      number('context_length', model.contextLength),
      number('embedding_length', model.embeddingLength),
      number('feed_forward_length', model.feedForwardLength),
      number('attention.head_count', model.headCount),
      number('pooling_type', poolings[model.pooling]),
      ['bert.attention.layer_norm_epsilon', { type: 'f32', value: normEpsilon }],
      ['bert.attention.causal', { type: 'bool', value: false }],
      ...wordPieceMetadata(tokenizer),
    ]),
    tensors: [
      { name: 'token_embd.weight', type: GgmlType.Q8_0, ...weights.table('word_embeddings') },
      { name: 'position_embd.weight', type: GgmlType.F32, ...weights.table('position_embeddings') },
      { name: 'token_types.weight', type: GgmlType.F32, ...weights.table('token_type_embeddings') },
      ...pair('token_embd_norm', GgmlType.F32, weights.embeddingsNorm()),
      ...Array.from({ length: model.layerCount }, (_, layer) => layerTensors(weights, layer)).flat(),
    ],
  };
}

function layerTensors(weights: BertWeights, layer: number): GgufTensorSource[] {
  const linear = (to: string, name: Parameters<BertWeights['linear']>[1]) =>
    pair(`blk.${layer}.${to}`, GgmlType.Q8_0, weights.linear(layer, name));
  const norm = (to: string, name: Parameters<BertWeights['norm']>[1]) =>
    pair(`blk.${layer}.${to}`, GgmlType.F32, weights.norm(layer, name));
  return [
    ...linear('attn_q', 'query'),
    ...linear('attn_k', 'key'),
    ...linear('attn_v', 'value'),
    ...linear('attn_output', 'attention_output'),
    ...norm('attn_output_norm', 'attention'),
    ...linear('ffn_up', 'up'),
    ...linear('ffn_down', 'down'),
    ...norm('layer_output_norm', 'output'),
  ];
}

function pair(name: string, type: number, { weight, bias }: BertPair): GgufTensorSource[] {
  return [
    { name: `${name}.weight`, type, ...weight },
    { name: `${name}.bias`, type: GgmlType.F32, ...bias },
  ];
}
