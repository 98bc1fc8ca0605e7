import { GgmlType } from '../ggml/types.ts';

/** What a model can be quantized to. `f16` rounds without quantizing. */
export type TargetType = 'f16' | 'q8_0' | 'q6_k' | 'q4_k' | 'q4_0';

export const targetTypes: readonly TargetType[] = ['q8_0', 'q6_k', 'q4_k', 'q4_0', 'f16'];

/** llama.cpp's numbers for "mostly" a type, as `general.file_type` holds them; q4_k is its Q4_K_M. */
export const fileTypes: Readonly<Record<TargetType, number>> = { f16: 1, q4_0: 2, q8_0: 7, q4_k: 15, q6_k: 18 };

/** llama.cpp's number for the present layout of quantized blocks. */
export const quantizationVersion = 2;

const baseTypes: Readonly<Record<TargetType, number>> = {
  f16: GgmlType.F16,
  q8_0: GgmlType.Q8_0,
  q6_k: GgmlType.Q6_K,
  q4_k: GgmlType.Q4_K,
  q4_0: GgmlType.Q4_0,
};

export interface TensorFacts {
  readonly name: string;
  /** ggml's order: columns first. */
  readonly shape: readonly number[];
}

export interface ModelFacts {
  readonly layerCount: number;
  /** Otherwise the embedding is also the output matrix. */
  readonly hasOutput: boolean;
}

/**
 * The type of a tensor of a quantized model, as llama.cpp's quantizer chooses it without an importance matrix: vectors stay
 * f32; the output matrix, through which every error goes to the logits, gets Q6_K; of q4_k's layers the first and last eighth
 * and every third between get Q6_K for the values and the feed-forward's way back; rows that a type's blocks do not divide get
 * the next type whose blocks do.
 */
export function tensorType(target: TargetType, tensor: TensorFacts, model: ModelFacts): number {
  const [columns = 1, rows = 1] = tensor.shape;
  if (tensor.shape.length < 2 || rows === 1 || tensor.name.endsWith('_norm.weight') || !tensor.name.endsWith('.weight'))
    return GgmlType.F32;
  return fitting(wantedType(target, tensor.name, model), columns);
}

function wantedType(target: TargetType, name: string, { hasOutput, layerCount }: ModelFacts): number {
  const base = baseTypes[target];
  if (target === 'f16' || target === 'q8_0') return base;
  if (name === 'output.weight' || (!hasOutput && name === 'token_embd.weight')) return GgmlType.Q6_K;
  if (target === 'q4_k' && /\.(attn_v|ffn_down)\.weight$/.test(name)) {
    const layer = Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? 0);
    if (needsMoreBits(layer, layerCount)) return GgmlType.Q6_K;
  }
  return base;
}

function needsMoreBits(layer: number, layerCount: number): boolean {
  const eighth = Math.floor(layerCount / 8);
  return layer < eighth || layer >= Math.floor((7 * layerCount) / 8) || (layer - eighth) % 3 === 2;
}

const largeBlock = 256;
const smallBlock = 32;

function fitting(type: number, columns: number): number {
  const isLarge = type === GgmlType.Q4_K || type === GgmlType.Q6_K;
  if (isLarge && columns % largeBlock !== 0) return fitting(type === GgmlType.Q4_K ? GgmlType.Q5_0 : GgmlType.Q8_0, columns);
  return type !== GgmlType.F16 && columns % smallBlock !== 0 ? GgmlType.F16 : type;
}
