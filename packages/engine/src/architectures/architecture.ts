import type { RopeMode } from '../ggml/types.ts';
import type { GraphBuilder, Tensor } from '../runner/graph-builder.ts';
import type { LayerWeights } from '../runner/weights.ts';
import type { LayerTensors } from './layer-tensors.ts';

/** One model family: what differs between families, and nothing else. */
export interface Architecture {
  /** GGUF's `general.architecture`. */
  readonly name: string;
  readonly ropeMode: (typeof RopeMode)[keyof typeof RopeMode];
  readonly tensors: LayerTensors;
  /**
   * One layer. `x`: [embeddingLength, tokens]. With `outputs`, only those of the columns go on after the attention,
   * so the last layer's second half is computed for the tokens whose logits are wanted.
   */
  layer(graph: GraphBuilder, x: Tensor, weights: LayerWeights, outputs?: (x: Tensor) => Tensor): Tensor;
}
