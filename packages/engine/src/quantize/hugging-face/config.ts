import { AutoglmError } from '@open-autoglm/protocol';
import type { GgufMetadata, GgufValue } from '../../models/gguf-writer.ts';

/** The fields of `config.json` that are read. */
export interface HuggingFaceConfig {
  readonly model_type?: string;
  readonly hidden_size?: number;
  readonly intermediate_size?: number;
  readonly num_hidden_layers?: number;
  readonly num_attention_heads?: number;
  readonly num_key_value_heads?: number | null;
  readonly head_dim?: number | null;
  readonly max_position_embeddings?: number;
  readonly rms_norm_eps?: number;
  readonly rope_theta?: number;
  readonly partial_rotary_factor?: number;
  readonly rope_scaling?: RopeScaling | null;
  /** Where newer versions of transformers keep all of RoPE. */
  readonly rope_parameters?: (RopeScaling & { readonly rope_theta?: number; readonly partial_rotary_factor?: number }) | null;
  readonly hidden_act?: string;
  readonly use_sliding_window?: boolean;
  readonly quantization_config?: object;
  readonly vocab_size?: number;
}

interface RopeScaling {
  readonly type?: string;
  readonly rope_type?: string;
  readonly factor?: number;
  readonly low_freq_factor?: number;
  readonly high_freq_factor?: number;
  readonly original_max_position_embeddings?: number;
}

/** What the conversion must know of a model. */
export interface ModelShape {
  readonly architecture: string;
  readonly layerCount: number;
  readonly headCount: number;
  readonly kvHeadCount: number;
  readonly headLength: number;
  readonly metadata: GgufMetadata;
  /** Divisors of RoPE's frequencies (llama 3.1), where the model scales them one by one. */
  readonly ropeFactors: Float32Array | undefined;
}

const known: readonly string[] = ['llama', 'qwen2', 'qwen3', 'glm4'];
/** GLM-4 turns half of each head where its configuration does not say. */
const defaultRotaryFactor: Readonly<Record<string, number>> = { glm4: 0.5 };

/** Throws `engine_failed` naming the field that is missing, or that asks for what the engine does not compute. */
export function readConfig(config: HuggingFaceConfig, folder: string): ModelShape {
  const refuse = (reason: string) => new AutoglmError('engine_failed', `${folder}/config.json cannot be used: ${reason}.`);
  const architecture = config.model_type ?? 'unnamed';
  if (!known.includes(architecture)) throw refuse(`model_type is "${architecture}", and this engine knows ${known.join(', ')}`);
  if (config.quantization_config) throw refuse('its weights are quantized already (quantization_config): take the repository that is not');
  if (config.use_sliding_window) throw refuse('use_sliding_window is true, which this engine does not compute');
  if (config.hidden_act !== undefined && config.hidden_act !== 'silu') throw refuse(`hidden_act is "${config.hidden_act}", not silu`);
  const required = (key: 'hidden_size' | 'intermediate_size' | 'num_hidden_layers' | 'num_attention_heads' | 'max_position_embeddings' | 'rms_norm_eps') => {
    const value = config[key];
    if (typeof value !== 'number' || !(value > 0)) throw refuse(`${key} is missing`);
    return value;
  };
  const headCount = required('num_attention_heads');
  const headLength = config.head_dim ?? required('hidden_size') / headCount;
  const kvHeadCount = config.num_key_value_heads ?? headCount;
  const rope = config.rope_parameters ?? config.rope_scaling ?? {};
  const ropeBase = config.rope_parameters?.rope_theta ?? config.rope_theta ?? 10_000;
  const rotaryFactor = config.rope_parameters?.partial_rotary_factor ?? config.partial_rotary_factor ?? defaultRotaryFactor[architecture] ?? 1;
  const ropeDimensions = Math.round(headLength * rotaryFactor);
  const scaling = rope.rope_type ?? rope.type ?? 'default';
  if (!['default', 'linear', 'llama3'].includes(scaling)) throw refuse(`it scales RoPE by "${scaling}", and this engine knows linear and llama3`);
  const u32 = (value: number): GgufValue => ({ type: 'u32', value });
  const f32 = (value: number): GgufValue => ({ type: 'f32', value });
  const keys: [string, GgufValue][] = [
    ['block_count', u32(required('num_hidden_layers'))],
    ['context_length', u32(required('max_position_embeddings'))],
    ['embedding_length', u32(required('hidden_size'))],
    ['feed_forward_length', u32(required('intermediate_size'))],
    ['attention.head_count', u32(headCount)],
    ['attention.head_count_kv', u32(kvHeadCount)],
    ['attention.key_length', u32(headLength)],
    ['attention.value_length', u32(headLength)],
    ['attention.layer_norm_rms_epsilon', f32(required('rms_norm_eps'))],
    ['rope.dimension_count', u32(ropeDimensions)],
    ['rope.freq_base', f32(ropeBase)],
    ...(scaling === 'linear' ? [['rope.scaling.type', { type: 'string', value: 'linear' }] as [string, GgufValue], ['rope.scaling.factor', f32(rope.factor ?? 1)] as [string, GgufValue]] : []),
    ...(config.vocab_size === undefined ? [] : [['vocab_size', u32(config.vocab_size)] as [string, GgufValue]]),
  ];
  return {
    architecture, headCount, kvHeadCount, headLength,
    layerCount: required('num_hidden_layers'),
    metadata: new Map([['general.architecture', { type: 'string', value: architecture }], ...keys.map(([key, value]): [string, GgufValue] => [`${architecture}.${key}`, value])]),
    ropeFactors: scaling === 'llama3' ? llama3Factors(rope, ropeBase, ropeDimensions) : undefined,
  };
}

/** Llama 3.1's scaling (Meta 2024): long waves are stretched by the factor, short ones are not, those between in part. */
function llama3Factors({ factor = 8, low_freq_factor: low = 1, high_freq_factor: high = 4, original_max_position_embeddings: trained = 8192 }: RopeScaling, base: number, dimensions: number): Float32Array {
  return Float32Array.from({ length: dimensions / 2 }, (_, index) => {
    const wavelength = 2 * Math.PI * base ** ((2 * index) / dimensions);
    if (wavelength < trained / high) return 1;
    if (wavelength > trained / low) return factor;
    const smooth = (trained / wavelength - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}
