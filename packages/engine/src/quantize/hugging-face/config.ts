import { AutoglmError } from '@open-autoglm/protocol';
import type { GgufMetadata, GgufValue } from '../../models/gguf-writer.ts';
import { shown } from '../../models/shown.ts';

/** The fields of `config.json` that are read. Whoever wrote the file may have meant something else by them. */
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
  readonly tie_word_embeddings?: boolean;
  readonly eos_token_id?: number | readonly number[] | null;
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
  readonly embeddingLength: number;
  readonly feedForwardLength: number;
  /** Rows of the embedding; undefined where the configuration does not say. */
  readonly vocabularySize: number | undefined;
  /** The embedding is also the output matrix; undefined where the configuration does not say. */
  readonly isTied: boolean | undefined;
  readonly metadata: GgufMetadata;
  /** Divisors of RoPE's frequencies (llama 3.1), where the model scales them one by one. */
  readonly ropeFactors: Float32Array | undefined;
}

const known: readonly string[] = ['llama', 'qwen2', 'qwen3', 'glm4'];
/** GLM-4 turns half of each head where its configuration does not say. */
const defaultRotaryFactor: Readonly<Record<string, number>> = { glm4: 0.5 };

/** What no model has by far, and what a GGUF can hold by far. */
const sizeMax = 1 << 24;

/** Throws `engine_failed` naming the field that is missing or makes no sense, or that asks for what the engine does not compute. */
export function readConfig(config: HuggingFaceConfig, folder: string): ModelShape {
  const refuse = (reason: string) => new AutoglmError('engine_failed', `${folder}/config.json cannot be used: ${reason}.`);
  const told = (value: unknown) => shown(JSON.stringify(value));
  const architecture = config.model_type ?? 'unnamed';
  if (!known.includes(architecture)) throw refuse(`model_type is ${told(architecture)}, and this engine knows ${known.join(', ')}`);
  if (config.quantization_config) throw refuse('its weights are quantized already (quantization_config): take the repository that is not');
  if (config.use_sliding_window) throw refuse('use_sliding_window is true, which this engine does not compute');
  if (config.hidden_act !== undefined && config.hidden_act !== 'silu') throw refuse(`hidden_act is ${told(config.hidden_act)}, not silu`);
  const optionalSize = (
    key:
      | 'hidden_size'
      | 'intermediate_size'
      | 'num_hidden_layers'
      | 'num_attention_heads'
      | 'num_key_value_heads'
      | 'head_dim'
      | 'max_position_embeddings'
      | 'vocab_size',
  ) => {
    const value = config[key] ?? undefined;
    if (value !== undefined && !(Number.isInteger(value) && value > 0 && value <= sizeMax))
      throw refuse(`${key} is ${told(value)}, and not a whole number from 1 to ${sizeMax}`);
    return value;
  };
  const size = (key: Parameters<typeof optionalSize>[0]) => {
    const value = optionalSize(key);
    if (value === undefined) throw refuse(`${key} is missing`);
    return value;
  };
  const positive = (key: string, value: unknown) => {
    if (typeof value !== 'number' || !(value > 0))
      throw refuse(value === undefined ? `${key} is missing` : `${key} is ${told(value)}, and not a number above 0`);
    return value;
  };
  const headCount = size('num_attention_heads');
  const headLength = optionalSize('head_dim') ?? size('hidden_size') / headCount;
  if (!Number.isInteger(headLength) || headLength % 2 !== 0)
    throw refuse(`its heads have ${headLength} dimensions, and RoPE turns pairs of them`);
  const kvHeadCount = optionalSize('num_key_value_heads') ?? headCount;
  if (headCount % kvHeadCount !== 0)
    throw refuse(`num_attention_heads, ${headCount}, is no multiple of num_key_value_heads, ${kvHeadCount}`);
  const ropeKey = config.rope_parameters ? 'rope_parameters' : 'rope_scaling';
  const rope = config[ropeKey] ?? {};
  if (typeof rope !== 'object') throw refuse(`${ropeKey} is ${told(rope)}, and not an object`);
  const ropeBase = positive('rope_theta', config.rope_parameters?.rope_theta ?? config.rope_theta ?? 10_000);
  const rotaryFactor = positive(
    'partial_rotary_factor',
    config.rope_parameters?.partial_rotary_factor ?? config.partial_rotary_factor ?? defaultRotaryFactor[architecture] ?? 1,
  );
  const ropeDimensions = Math.round(headLength * rotaryFactor);
  if (ropeDimensions > headLength || ropeDimensions % 2 !== 0)
    throw refuse(`partial_rotary_factor, ${rotaryFactor}, turns ${ropeDimensions} of a head's ${headLength} dimensions`);
  const scaling = rope.rope_type ?? rope.type ?? 'default';
  if (!['default', 'linear', 'llama3'].includes(scaling))
    throw refuse(`it scales RoPE by ${told(scaling)}, and this engine knows linear and llama3`);
  for (const key of ['factor', 'low_freq_factor', 'high_freq_factor', 'original_max_position_embeddings'] as const)
    if (rope[key] !== undefined && rope[key] !== null) positive(`${ropeKey}.${key}`, rope[key]);
  const u32 = (value: number): GgufValue => ({ type: 'u32', value });
  const f32 = (value: number): GgufValue => ({ type: 'f32', value });
  const keys: [string, GgufValue][] = [
    ['block_count', u32(size('num_hidden_layers'))],
    ['context_length', u32(size('max_position_embeddings'))],
    ['embedding_length', u32(size('hidden_size'))],
    ['feed_forward_length', u32(size('intermediate_size'))],
    ['attention.head_count', u32(headCount)],
    ['attention.head_count_kv', u32(kvHeadCount)],
    ['attention.key_length', u32(headLength)],
    ['attention.value_length', u32(headLength)],
    ['attention.layer_norm_rms_epsilon', f32(positive('rms_norm_eps', config.rms_norm_eps))],
    ['rope.dimension_count', u32(ropeDimensions)],
    ['rope.freq_base', f32(ropeBase)],
    ...(scaling === 'linear'
      ? [
          ['rope.scaling.type', { type: 'string', value: 'linear' }] as [string, GgufValue],
          ['rope.scaling.factor', f32(rope.factor ?? 1)] as [string, GgufValue],
        ]
      : []),
  ];
  return {
    architecture,
    headCount,
    kvHeadCount,
    headLength,
    layerCount: size('num_hidden_layers'),
    embeddingLength: size('hidden_size'),
    feedForwardLength: size('intermediate_size'),
    vocabularySize: optionalSize('vocab_size'),
    isTied: typeof config.tie_word_embeddings === 'boolean' ? config.tie_word_embeddings : undefined,
    metadata: new Map([
      ['general.architecture', { type: 'string', value: architecture }],
      ...keys.map(([key, value]): [string, GgufValue] => [`${architecture}.${key}`, value]),
    ]),
    ropeFactors: scaling === 'llama3' ? llama3Factors(rope, ropeBase, ropeDimensions) : undefined,
  };
}

/** Llama 3.1's scaling (Meta 2024): long waves are stretched by the factor, short ones are not, those between in part. */
function llama3Factors(
  { factor = 8, low_freq_factor: low = 1, high_freq_factor: high = 4, original_max_position_embeddings: trained = 8192 }: RopeScaling,
  base: number,
  dimensions: number,
): Float32Array {
  return Float32Array.from({ length: dimensions / 2 }, (_, index) => {
    const wavelength = 2 * Math.PI * base ** ((2 * index) / dimensions);
    if (wavelength < trained / high) return 1;
    if (wavelength > trained / low) return factor;
    const smooth = (trained / wavelength - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}
