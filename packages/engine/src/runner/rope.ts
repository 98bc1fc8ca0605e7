import type { Hyperparameters } from '../architectures/hyperparameters.ts';
import type { Ggml, Pointer } from '../ggml/bindings.ts';
import type { Weights } from './weights.ts';

/** What RoPE needs to know of a model. */
export interface RopeParts {
  readonly ggml: Ggml;
  readonly architecture: { readonly ropeMode: number };
  readonly sizes: Hyperparameters;
  readonly weights: Pick<Weights, 'ropeFactors'>;
}

interface Rotation {
  readonly context: Pointer;
  /** [headLength, heads, tokens]. */
  readonly heads: Pointer;
  /** i32 [tokens]. */
  readonly positions: Pointer;
  readonly inPlace: boolean;
}

/** Turns heads by positions as the model's family does (RoPE, Su et al. 2021). */
export function rotate({ ggml, architecture, sizes, weights }: RopeParts, { context, heads, positions, inPlace }: Rotation): Pointer {
  const rope = inPlace ? ggml.ropeExtInplace : ggml.ropeExt;
  return rope(
    context,
    heads,
    positions,
    weights.ropeFactors,
    sizes.ropeDimensions,
    architecture.ropeMode,
    sizes.trainedContext,
    sizes.ropeBase,
    sizes.ropeScale,
    0,
    1,
    32,
    1,
  );
}
