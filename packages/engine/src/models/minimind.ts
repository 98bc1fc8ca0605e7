import { sourceOfHeadRow } from '../quantize/head-rows.ts';
import { fileTypes, quantizationVersion, tensorType, type TargetType } from '../quantize/type-policy.ts';
import type { GgufContent, GgufMetadata, GgufTensorSource, GgufValue } from './gguf-writer.ts';
import { tokenizerMetadata, type TokenizerConfig, type TokenizerJson } from './hf-tokenizer.ts';
import type { OnnxGraph } from './onnx.ts';
import { dequantize, matrixShape, quantizedTensor, requireTensor, transpose } from './onnx-weights.ts';

/** The fields of `config.json` that the conversion reads. */
export interface LlamaConfig {
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly head_dim: number;
  readonly max_position_embeddings: number;
  readonly rms_norm_eps: number;
  readonly rope_theta: number;
  readonly vocab_size: number;
}

/** A weights package's files, parsed. */
export interface MiniMindPackage {
  readonly graph: OnnxGraph;
  readonly config: LlamaConfig;
  readonly tokenizer: TokenizerJson;
  readonly tokenizerConfig: TokenizerConfig;
}

/** A tensor before it is decided what type it gets. */
type UntypedTensor = Omit<GgufTensorSource, 'type'>;

/**
 * MiniMind2-Small as a GGUF of the llama architecture.
 *
 * Its ONNX file holds each projection as an int8 matrix [in, out] with one scale and one zero point. They are dequantized,
 * transposed to ggml's [out, in], and quantized again; with q8_0, in blocks of 32, that adds next to nothing to the first rounding.
 * The file has two quantized copies of the tied embedding; the one for look-up is taken for both uses.
 */
export function minimindGguf({ graph, config, tokenizer, tokenizerConfig }: MiniMindPackage, type: TargetType): GgufContent {
  const facts = { layerCount: config.num_hidden_layers, hasOutput: false };
  const tensors = [
    ...headTensors(graph),
    ...Array.from({ length: config.num_hidden_layers }, (_, layer) => layerTensors(graph, config, layer)).flat(),
  ];
  return {
    metadata: new Map([...generalMetadata(config, fileTypes[type]), ...tokenizerMetadata(tokenizer, tokenizerConfig)]),
    tensors: tensors.map((tensor) => ({ ...tensor, type: tensorType(type, tensor, facts) })),
  };
}

function generalMetadata(config: LlamaConfig, fileType: number): GgufMetadata {
  return new Map<string, GgufValue>([
    ['general.architecture', { type: 'string', value: 'llama' }],
    ['general.type', { type: 'string', value: 'model' }],
    ['general.name', { type: 'string', value: 'MiniMind2-Small' }],
    ['general.size_label', { type: 'string', value: '26M' }],
    ['general.license', { type: 'string', value: 'apache-2.0' }],
    ['general.file_type', { type: 'u32', value: fileType }],
    ['general.quantization_version', { type: 'u32', value: quantizationVersion }],
    ['llama.block_count', { type: 'u32', value: config.num_hidden_layers }],
    ['llama.context_length', { type: 'u32', value: config.max_position_embeddings }],
    ['llama.embedding_length', { type: 'u32', value: config.hidden_size }],
    ['llama.feed_forward_length', { type: 'u32', value: config.intermediate_size }],
    ['llama.attention.head_count', { type: 'u32', value: config.num_attention_heads }],
    ['llama.attention.head_count_kv', { type: 'u32', value: config.num_key_value_heads }],
    ['llama.attention.key_length', { type: 'u32', value: config.head_dim }],
    ['llama.attention.value_length', { type: 'u32', value: config.head_dim }],
    ['llama.attention.layer_norm_rms_epsilon', { type: 'f32', value: config.rms_norm_eps }],
    ['llama.rope.dimension_count', { type: 'u32', value: config.head_dim }],
    ['llama.rope.freq_base', { type: 'f32', value: config.rope_theta }],
    ['llama.vocab_size', { type: 'u32', value: config.vocab_size }],
  ]);
}

function headTensors(graph: OnnxGraph): UntypedTensor[] {
  const embedding = quantizedTensor(graph, 'model.embed_tokens.weight_quantized');
  const [rows, columns] = matrixShape(embedding.tensor);
  return [
    { name: 'token_embd.weight', shape: [columns, rows], read: () => dequantize(embedding) },
    norm(graph, 'output_norm.weight', 'model.norm.weight'),
  ];
}

function layerTensors(graph: OnnxGraph, config: LlamaConfig, layer: number): UntypedTensor[] {
  const from = `/model/layers.${layer}`;
  const to = `blk.${layer}`;
  const headRows = (heads: number): number[] =>
    Array.from({ length: heads * config.head_dim }, (_, row) => sourceOfHeadRow(row, config.head_dim));
  return [
    norm(graph, `${to}.attn_norm.weight`, `model.layers.${layer}.input_layernorm.weight`),
    projection(graph, `${to}.attn_q.weight`, `${from}/self_attn/q_proj`, headRows(config.num_attention_heads)),
    projection(graph, `${to}.attn_k.weight`, `${from}/self_attn/k_proj`, headRows(config.num_key_value_heads)),
    projection(graph, `${to}.attn_v.weight`, `${from}/self_attn/v_proj`),
    projection(graph, `${to}.attn_output.weight`, `${from}/self_attn/o_proj`),
    norm(graph, `${to}.ffn_norm.weight`, `model.layers.${layer}.post_attention_layernorm.weight`),
    projection(graph, `${to}.ffn_gate.weight`, `${from}/mlp/gate_proj`),
    projection(graph, `${to}.ffn_up.weight`, `${from}/mlp/up_proj`),
    projection(graph, `${to}.ffn_down.weight`, `${from}/mlp/down_proj`),
  ];
}

function norm(graph: OnnxGraph, name: string, source: string): UntypedTensor {
  const { shape, values } = requireTensor(graph, source);
  return { name, shape, read: () => Float32Array.from(values) };
}

/** `rowOrder[i]` is the source row that becomes row i; without it the rows stay in order. */
function projection(graph: OnnxGraph, name: string, module: string, rowOrder?: readonly number[]): UntypedTensor {
  const node = graph.nodes.find((candidate) => candidate.operator === 'MatMulInteger' && candidate.name === `${module}/MatMul_quant`);
  const weight = node?.inputs[1];
  if (!weight) throw new Error(`The ONNX graph has no quantized product ${module}.`);
  const source = quantizedTensor(graph, weight);
  const [columns, rows] = matrixShape(source.tensor);
  return { name, shape: [columns, rows], read: () => transpose(dequantize(source), columns, rows, rowOrder) };
}
