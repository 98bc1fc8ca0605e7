import { RopeMode } from '../ggml/types.ts';
import type { Architecture } from './architecture.ts';
import { preNormLayer } from './pre-norm-layer.ts';

/** Qwen2 and Qwen2.5 (Yang et al. 2024): llama's layer with biases on q, k, v and RoPE over halves of the head. */
export const qwen2: Architecture = {
  name: 'qwen2',
  ropeMode: RopeMode.NEOX,
  tensors: { attentionBias: 'always', headNorms: false, postNorms: false, fusedGateUp: false },
  layer: preNormLayer,
};
