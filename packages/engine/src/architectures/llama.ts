import { RopeMode } from '../ggml/types.ts';
import type { Architecture } from './architecture.ts';
import { preNormLayer } from './pre-norm-layer.ts';

/**
 * Llama (Touvron et al. 2023) and all that is stored in its layout: RoPE over neighbouring dimensions; some of these have biases on q, k
 * and v.
 */
export const llama: Architecture = {
  name: 'llama',
  ropeMode: RopeMode.NORMAL,
  tensors: { attentionBias: 'if-present', headNorms: false, postNorms: false, fusedGateUp: false },
  layer: preNormLayer,
};
