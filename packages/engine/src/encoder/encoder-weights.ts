import type { Ggml, Pointer } from '../ggml/bindings.ts';
import type { Device } from '../ggml/device.ts';
import type { Gguf } from '../ggml/gguf.ts';
import { WeightLoader, type FusedMatrix, type WeightMatrix } from '../runner/weights.ts';
import type { EncoderSizes } from './encoder-sizes.ts';

/** A layer norm's. */
export interface NormWeights {
  readonly weight: Pointer;
  readonly bias: Pointer;
}

/** y = W x + b. */
export interface LinearWeights extends NormWeights {}

export interface EncoderLayerWeights {
  /** q, k, v; one product where they share their type. */
  readonly attentionInput: FusedMatrix;
  readonly attentionOutput: LinearWeights;
  readonly attentionNorm: NormWeights;
  readonly feedForwardInput: LinearWeights;
  readonly feedForwardOutput: LinearWeights;
  readonly outputNorm: NormWeights;
}

export interface EncoderWeights {
  readonly tokenEmbedding: Pointer;
  readonly positionEmbedding: Pointer;
  readonly typeEmbedding: Pointer;
  readonly embeddingNorm: NormWeights;
  readonly layers: readonly EncoderLayerWeights[];
  /** All that multiply. */
  readonly matrices: readonly WeightMatrix[];
  close(): void;
}

/** Sentences A and B; a text that is embedded is all A. */
const tokenTypes = 2;

/** Reads the tensors of llama.cpp's `bert`. Throws `engine_failed`, also where the file has a tensor that is not known. */
export function loadEncoderWeights(ggml: Ggml, device: Device, gguf: Gguf, sizes: EncoderSizes, vocabularySize: number): EncoderWeights {
  const loader = new WeightLoader(ggml, device, gguf, true);
  const { embeddingLength, feedForwardLength, layerCount, trainedContext } = sizes;
  const norm = (name: string): NormWeights => ({
    weight: loader.vector(`${name}.weight`, embeddingLength),
    bias: loader.vector(`${name}.bias`, embeddingLength),
  });
  const linear = (name: string, columns: number, rows: number): LinearWeights => ({
    weight: loader.matrix(`${name}.weight`, columns, rows),
    bias: loader.vector(`${name}.bias`, rows),
  });
  const layer = (index: number): EncoderLayerWeights => {
    const at = `blk.${index}`;
    const parts = (suffix: string) =>
      ['attn_q', 'attn_k', 'attn_v'].map((part) => ({ name: `${at}.${part}.${suffix}`, rows: embeddingLength }));
    return {
      attentionInput: loader.fused(embeddingLength, parts('weight'), parts('bias')),
      attentionOutput: linear(`${at}.attn_output`, embeddingLength, embeddingLength),
      attentionNorm: norm(`${at}.attn_output_norm`),
      feedForwardInput: linear(`${at}.ffn_up`, embeddingLength, feedForwardLength),
      feedForwardOutput: linear(`${at}.ffn_down`, feedForwardLength, embeddingLength),
      outputNorm: norm(`${at}.layer_output_norm`),
    };
  };
  const weights = {
    tokenEmbedding: loader.table('token_embd.weight', embeddingLength, vocabularySize),
    positionEmbedding: loader.table('position_embd.weight', embeddingLength, trainedContext),
    typeEmbedding: loader.table('token_types.weight', embeddingLength, tokenTypes),
    embeddingNorm: norm('token_embd_norm'),
    layers: Array.from({ length: layerCount }, (_, index) => layer(index)),
  };
  return { ...weights, matrices: loader.matrices, close: loader.load() };
}
