import { RopeMode } from '../ggml/types.ts';
import type { Architecture } from './architecture.ts';
import { sandwichNormLayer } from './sandwich-norm-layer.ts';

/**
 * GLM-4-0414 (Zhipu AI 2025; Hugging Face's `Glm4ForCausalLM`): norms on both sides of attention and feed-forward, RoPE over
 * neighbours in half of each head (`rope.dimension_count`), gate and up in one matrix. The 9B has biases, the 32B has none.
 */
export const glm4: Architecture = {
  name: 'glm4',
  ropeMode: RopeMode.NORMAL,
  tensors: { attentionBias: 'if-present', headNorms: false, postNorms: true, fusedGateUp: true },
  layer: sandwichNormLayer,
};
