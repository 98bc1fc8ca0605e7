import { RopeMode } from '../ggml/types.ts';
import type { Architecture } from './architecture.ts';
import { preNormLayer } from './pre-norm-layer.ts';

/** Qwen3 (Yang et al. 2025), dense: qwen2 without biases, with an RMS norm over each head of q and k before RoPE. */
export const qwen3: Architecture = {
  name: 'qwen3',
  ropeMode: RopeMode.NEOX,
  tensors: { attentionBias: 'never', headNorms: true, postNorms: false, fusedGateUp: false },
  layer: preNormLayer,
};
