import koffi from 'koffi';
import type { Hyperparameters } from '../architectures/hyperparameters.ts';
import type { Ggml, Pointer } from '../ggml/bindings.ts';
import { columnBytes, tensorLayout } from '../ggml/tensor-layout.ts';
import { GgmlType } from '../ggml/types.ts';
import { blockTokens, type KvCache } from '../kv-cache/kv-cache.ts';
import type { ColumnPlans } from './batch-plan.ts';
import { multiply } from './product-costs.ts';
import { rotate, type RopeParts } from './rope.ts';
import type { FusedMatrix, LayerWeights, WeightMatrix, Weights } from './weights.ts';

/** A node of a graph under construction. */
export type Tensor = Pointer;

/** What a graph computes, and so the key under which it is kept. */
export type GraphShape =
  /** `queries` tokens for each of `count` sequences, in slots 0 … count − 1; one after another of each sequence. */
  | { readonly kind: 'decode'; readonly count: number; readonly queries: number; readonly window: number }
  /** `count` tokens of one sequence; the slot is set before each run. `weighsBlocks`: what they attend to is computed, too. */
  | {
      readonly kind: 'prefill';
      readonly count: number;
      readonly window: number;
      readonly wantsLogits: boolean;
      readonly weighsBlocks?: boolean;
    };

/** Tokens that a graph takes. */
export function tokenCount(shape: GraphShape): number {
  return shape.kind === 'prefill' ? shape.count : shape.count * shape.queries;
}

export interface GraphInputs {
  /** i32 [tokens]. */
  readonly tokens: Tensor;
  /** i32 [tokens]: places in the sequences. */
  readonly positions: Tensor;
  /** i64 [tokens]: rows of the KV cache that the tokens' keys and values go to. */
  readonly rows: Tensor;
  /** f16, decode [window, queries, 1, streams], prefill [window, count]: 0 where a token may look, −∞ where not. */
  readonly mask: Tensor;
  /** Where blocks are weighed. */
  readonly weighing: WeighingInputs | undefined;
}

export interface WeighingInputs {
  /** i32 [window]: the rows of the KV cache whose keys are looked at. */
  readonly places: Tensor;
  /** f32 [window, window / 64 + 1]: 1 where a place is of a block, or of the rest, 0 elsewhere. */
  readonly blocks: Tensor;
}

interface BuilderParts {
  readonly ggml: Ggml;
  readonly context: Pointer;
  readonly graph: Pointer;
  readonly architecture: RopeParts['architecture'];
  readonly sizes: Hyperparameters;
  readonly cache: KvCache;
  readonly weights: Weights;
  readonly columnPlans: ColumnPlans;
  readonly shape: GraphShape;
}

/**
 * ggml's split-KV kernel serves one query over at least 512 keys, and sums in another order than the kernel for several
 * queries. A lone sequence gets a second, wholly masked stream there, so that it is answered alike alone and in company.
 */
const splitKvWindow = 512;

/** The building blocks from which an architecture composes its layer. */
export class GraphBuilder {
  readonly inputs: GraphInputs;
  /** Attention streams: sequences in the batch, plus the masked one where it is needed. */
  readonly streams: number;
  /** Views of the KV cache that must be moved to the slot before a prefill runs, with their offset in the slot. */
  readonly slotViews: { readonly view: Tensor; readonly layer: number; readonly offset: number }[] = [];
  /**
   * f32 [window / 64 + 1, count, headCount], where blocks are weighed: the attention that each block got, summed over the layers so far.
   */
  blockWeights: Tensor | undefined;
  readonly #parts: BuilderParts;
  readonly #matrices: ReadonlyMap<Tensor, WeightMatrix>;

  constructor(parts: BuilderParts) {
    const { ggml, context, shape } = parts;
    this.#parts = parts;
    this.#matrices = new Map(parts.weights.matrices.map((matrix) => [matrix.tensor, matrix]));
    const needsMaskedStream = shape.kind === 'decode' && shape.count === 1 && shape.queries === 1 && shape.window >= splitKvWindow;
    const count = tokenCount(shape);
    this.streams = shape.kind === 'prefill' ? 1 : shape.count + (needsMaskedStream ? 1 : 0);
    this.inputs = {
      tokens: this.#input(ggml.newTensor1d(context, GgmlType.I32, count)),
      positions: this.#input(ggml.newTensor1d(context, GgmlType.I32, count)),
      rows: this.#input(ggml.newTensor1d(context, GgmlType.I64, count)),
      mask: this.#input(
        shape.kind === 'prefill'
          ? ggml.newTensor2d(context, GgmlType.F16, shape.window, shape.count)
          : ggml.newTensor4d(context, GgmlType.F16, shape.window, shape.queries, 1, this.streams),
      ),
      weighing: shape.kind === 'prefill' && shape.weighsBlocks ? this.#weighingInputs(shape.window) : undefined,
    };
  }

  /** The rows of the embedding table for the input tokens: [embeddingLength, count]. */
  embed(table: Tensor): Tensor {
    return this.#parts.ggml.getRows(this.#parts.context, table, this.inputs.tokens);
  }

  norm(x: Tensor, weight: Tensor): Tensor {
    const { ggml, context, sizes } = this.#parts;
    return ggml.mul(context, ggml.rmsNorm(context, x, sizes.normEpsilon), weight);
  }

  /** `x`: [columns of the weight, tokens], contiguous. Returns [rows of the weight, tokens], whose columns may lie apart. */
  matmul(weight: Tensor, x: Tensor): Tensor {
    const { ggml, context, columnPlans } = this.#parts;
    const matrix = this.#matrices.get(weight) as WeightMatrix;
    const tokens = Number(koffi.decode(x, tensorLayout.ne + 8, 'int64'));
    return multiply(ggml, context, matrix, x, { way: columnPlans.wayOf(tokens), columns: tokens });
  }

  add(a: Tensor, b: Tensor): Tensor {
    return this.#parts.ggml.add(this.#parts.context, a, b);
  }

  /** The last of `columns` columns of length `rows`, without a copy. */
  lastColumn(x: Tensor, rows: number, columns: number): Tensor {
    const bytes = rows * 4;
    return this.#parts.ggml.view2d(this.#parts.context, x, rows, 1, bytes, (columns - 1) * bytes);
  }

  /** SwiGLU (Shazeer 2020) and the projection back. */
  feedForward(x: Tensor, weights: LayerWeights): Tensor {
    const { ggml, context } = this.#parts;
    const input = weights.feedForwardInput;
    const [first, second] = this.#products(input, x);
    const gated = second ? ggml.swigluSplit(context, first, second) : ggml.swiglu(context, first);
    return this.matmul(weights.feedForwardOutput, gated);
  }

  /** Causal self-attention before its output projection: [headCount · headLength, count]. */
  attention(x: Tensor, weights: LayerWeights): Tensor {
    const query = weights.attentionInput.fused ? this.#storeFused(x, weights) : this.#storeSplit(x, weights);
    return this.#attend(query, weights.index);
  }

  /** One product for q, k and v; RoPE in place over q and k; one write of k and v, which lie side by side. */
  #storeFused(x: Tensor, weights: LayerWeights): { readonly tensor: Tensor; readonly tokenBytes: number } {
    const { ggml, context, graph, sizes, cache, shape } = this.#parts;
    const { headCount, kvHeadCount, headLength } = sizes;
    const [all] = this.#products(weights.attentionInput, x);
    const tokenBytes = columnBytes(all);
    const count = tokenCount(shape);
    const heads = ggml.view3d(context, all, headLength, headCount + kvHeadCount, count, headLength * 4, tokenBytes, 0);
    const rotated = this.#rope(this.#normHeads(heads, weights, 0, headCount + kvHeadCount), true);
    const keysAndValues = ggml.view2d(context, rotated, 2 * kvHeadCount * headLength, count, tokenBytes, headCount * headLength * 4);
    ggml.buildForwardExpand(graph, ggml.setRows(context, cache.layers[weights.index] as Tensor, keysAndValues, this.inputs.rows));
    return { tensor: rotated, tokenBytes };
  }

  #storeSplit(x: Tensor, weights: LayerWeights): { readonly tensor: Tensor; readonly tokenBytes: number } {
    const { ggml, context, graph, sizes, cache, shape } = this.#parts;
    const { headCount, kvHeadCount, headLength } = sizes;
    const [q, k, v] = this.#products(weights.attentionInput, x) as [Tensor, Tensor, Tensor];
    const heads = (tensor: Tensor, count: number) =>
      ggml.view3d(context, tensor, headLength, count, tokenCount(shape), headLength * 4, columnBytes(tensor), 0);
    const keyLength = kvHeadCount * headLength;
    const store = (rows: Tensor, offset: number) => {
      const part = ggml.view2d(context, cache.layers[weights.index] as Tensor, keyLength, cache.rowCount, cache.rowBytes, offset);
      ggml.buildForwardExpand(graph, ggml.setRows(context, part, rows, this.inputs.rows));
    };
    const rotatedKeys = this.#rope(this.#normHeads(heads(k, kvHeadCount), weights, headCount, kvHeadCount), false);
    store(ggml.reshape2d(context, rotatedKeys, keyLength, tokenCount(shape)), 0);
    store(v, cache.valueOffset);
    return {
      tensor: this.#rope(this.#normHeads(heads(q, headCount), weights, 0, headCount), false),
      tokenBytes: headCount * headLength * 4,
    };
  }

  #attend(query: { readonly tensor: Tensor; readonly tokenBytes: number }, layer: number): Tensor {
    const { ggml, context, sizes, shape } = this.#parts;
    const { headCount, headLength } = sizes;
    const queries = shape.kind === 'prefill' ? shape.count : shape.queries;
    const realStreams = shape.kind === 'prefill' ? 1 : shape.count;
    const q = ggml.view4d(
      context,
      query.tensor,
      headLength,
      queries,
      headCount,
      realStreams,
      query.tokenBytes,
      headLength * 4,
      queries * query.tokenBytes,
      0,
    );
    if (this.streams > realStreams) repeatStream(q, this.streams);
    const keys = this.#cacheView(layer, 0);
    if (this.inputs.weighing) this.#weighBlocks(layer, q, this.inputs.weighing);
    const values = this.#cacheView(layer, this.#parts.cache.valueOffset);
    const attended = ggml.flashAttnExt(context, q, keys, values, this.inputs.mask, 1 / Math.sqrt(headLength), 0, 0);
    return ggml.view2d(context, attended, headLength * headCount, tokenCount(shape), headLength * headCount * 4, 0);
  }

  /** The attention weights, which the fused kernel does not tell, and their sums by block. */
  #weighBlocks(layer: number, q: Tensor, { places, blocks }: WeighingInputs): void {
    const { ggml, context, graph, sizes, cache, shape } = this.#parts;
    const { headLength, kvHeadCount } = sizes;
    const keyLength = headLength * kvHeadCount;
    // In f32: ggml's products take quantized rows to be whole blocks apart, and those of the cache may be further.
    const all = ggml.getRows(
      context,
      ggml.view2d(context, cache.layers[layer] as Tensor, keyLength, cache.rowCount, cache.rowBytes, 0),
      places,
    );
    const keys = ggml.view3d(context, all, headLength, shape.window, kvHeadCount, keyLength * 4, headLength * 4, 0);
    const weights = ggml.softMaxExt(context, ggml.mulMat(context, keys, q), this.inputs.mask, 1 / Math.sqrt(headLength), 0);
    const sums = ggml.mulMat(context, blocks, weights);
    this.blockWeights = this.blockWeights ? this.add(this.blockWeights, sums) : sums;
    ggml.buildForwardExpand(graph, this.blockWeights);
  }

  /** Keys or values of the window: [headLength, window, kvHeadCount, streams]. */
  #cacheView(layer: number, offset: number): Tensor {
    const { ggml, context, sizes, cache, shape } = this.#parts;
    const slotStride = shape.kind === 'decode' && this.streams > shape.count ? 0 : cache.slotBytes;
    const view = ggml.view4d(
      context,
      cache.layers[layer] as Tensor,
      sizes.headLength,
      shape.window,
      sizes.kvHeadCount,
      this.streams,
      cache.rowBytes,
      cache.headBytes,
      slotStride,
      offset,
    );
    if (shape.kind === 'prefill') this.slotViews.push({ view, layer, offset });
    return view;
  }

  #products(matrix: FusedMatrix, x: Tensor): [Tensor, ...Tensor[]] {
    const biased = (weight: Tensor, bias: Tensor | undefined) => (bias ? this.add(this.matmul(weight, x), bias) : this.matmul(weight, x));
    if (matrix.fused) return [biased(matrix.weight, matrix.bias)];
    return matrix.weights.map((weight, index) => biased(weight, matrix.biases[index])) as [Tensor, ...Tensor[]];
  }

  /** Norms `count` heads in place, where the family has such norms; `first` counts the heads of q, then those of k. */
  #normHeads(heads: Tensor, { headNorms }: LayerWeights, first: number, count: number): Tensor {
    if (headNorms === undefined) return heads;
    const { ggml, context, sizes } = this.#parts;
    const rowBytes = sizes.headLength * 4;
    const weight = ggml.view2d(context, headNorms, sizes.headLength, count, rowBytes, first * rowBytes);
    return ggml.mulInplace(context, ggml.rmsNormInplace(context, heads, sizes.normEpsilon), weight);
  }

  #rope(heads: Tensor, inPlace: boolean): Tensor {
    return rotate(this.#parts, { context: this.#parts.context, heads, positions: this.inputs.positions, inPlace });
  }

  #weighingInputs(window: number): WeighingInputs {
    const { ggml, context } = this.#parts;
    return {
      places: this.#input(ggml.newTensor1d(context, GgmlType.I32, window)),
      blocks: this.#input(ggml.newTensor2d(context, GgmlType.F32, window, window / blockTokens + 1)),
    };
  }

  #input(tensor: Tensor): Tensor {
    this.#parts.ggml.setInput(tensor);
    return tensor;
  }
}

/**
 * Lets a view's last dimension read the same bytes `count` times. ggml has no function for it: it bounds views as if they were contiguous.
 */
function repeatStream(view: Tensor, count: number): void {
  koffi.encode(view, tensorLayout.ne + 3 * 8, 'int64', count);
  koffi.encode(view, tensorLayout.nb + 3 * 8, 'uint64', 0);
}
