import koffi from 'koffi';
import type { Ggml, Pointer } from '../ggml/bindings.ts';
import { tensorLayout } from '../ggml/tensor-layout.ts';
import { GgmlType } from '../ggml/types.ts';
import { multiply } from '../runner/product-costs.ts';
import type { FusedMatrix, WeightMatrix } from '../runner/weights.ts';
import type { EncoderSizes } from './encoder-sizes.ts';
import type { LinearWeights, NormWeights } from './encoder-weights.ts';

/** A node of a graph under construction. */
export type Tensor = Pointer;

/** Texts of one length, side by side. */
export interface LengthGroup {
  /** Tokens of each. */
  readonly length: number;
  readonly count: number;
  /** Tokens before the group. */
  readonly start: number;
}

export interface EncoderInputs {
  /** i32 [tokens]: the texts one after another. */
  readonly tokens: Tensor;
  /** i32 [tokens]: places in the texts. */
  readonly positions: Tensor;
  /** i32 [1]: the kind of sentence. */
  readonly type: Tensor;
  /** i32 [texts]: where each text begins. */
  readonly firsts: Tensor;
}

interface GraphParts {
  readonly ggml: Ggml;
  readonly context: Pointer;
  readonly graph: Pointer;
  readonly sizes: EncoderSizes;
  readonly matrices: readonly WeightMatrix[];
  readonly groups: readonly LengthGroup[];
}

/** Groups of equal neighbours. */
export function groupLengths(lengths: readonly number[]): LengthGroup[] {
  const groups: { length: number; count: number; start: number }[] = [];
  let start = 0;
  for (const length of lengths) {
    const last = groups.at(-1);
    if (last?.length === length) last.count += 1;
    else groups.push({ length, count: 1, start });
    start += length;
  }
  return groups;
}

/**
 * The building blocks of an encoder's layer over several texts at once. Products and norms run over all tokens side by
 * side; attention runs for all texts of one length in one node, so that nothing is padded and nothing masked.
 */
export class EncoderGraph {
  readonly inputs: EncoderInputs;
  readonly #parts: GraphParts;
  readonly #matrices: ReadonlyMap<Tensor, WeightMatrix>;
  readonly #tokens: number;
  readonly #texts: number;

  constructor(parts: GraphParts) {
    const { ggml, context, groups } = parts;
    this.#parts = parts;
    this.#matrices = new Map(parts.matrices.map((matrix) => [matrix.tensor, matrix]));
    this.#tokens = groups.reduce((sum, { length, count }) => sum + length * count, 0);
    this.#texts = groups.reduce((sum, { count }) => sum + count, 0);
    const input = (length: number) => {
      const tensor = ggml.newTensor1d(context, GgmlType.I32, length);
      ggml.setInput(tensor);
      return tensor;
    };
    this.inputs = { tokens: input(this.#tokens), positions: input(this.#tokens), type: input(1), firsts: input(this.#texts) };
  }

  /** [columns of the table, indices]. */
  rows(table: Tensor, indices: Tensor): Tensor {
    return this.#parts.ggml.getRows(this.#parts.context, table, indices);
  }

  add(a: Tensor, b: Tensor): Tensor {
    return this.#parts.ggml.add(this.#parts.context, a, b);
  }

  /** Layer norm (Ba et al. 2016) over each column. */
  norm(x: Tensor, { weight, bias }: NormWeights): Tensor {
    const { ggml, context, sizes } = this.#parts;
    return this.add(ggml.mul(context, ggml.norm(context, x, sizes.normEpsilon), weight), bias);
  }

  linear({ weight, bias }: LinearWeights, x: Tensor): Tensor {
    const columns = Number(koffi.decode(x, tensorLayout.ne + 8, 'int64'));
    return this.add(
      multiply(this.#parts.ggml, this.#parts.context, this.#matrices.get(weight) as WeightMatrix, x, { way: 'together', columns }),
      bias,
    );
  }

  /** By its tanh form (Hendrycks and Gimpel 2016), as llama.cpp computes it here. */
  gelu(x: Tensor): Tensor {
    return this.#parts.ggml.gelu(this.#parts.context, x);
  }

  /** Every token of a text looks at all of its tokens: [embeddingLength, tokens], or with `onlyFirst` [embeddingLength, texts]. */
  attention(x: Tensor, matrix: FusedMatrix, onlyFirst: boolean): Tensor {
    const {
      ggml,
      context,
      graph,
      sizes: { embeddingLength },
      groups,
    } = this.#parts;
    const heads = this.#project(x, matrix);
    const [only, ...others] = groups as [LengthGroup, ...LengthGroup[]];
    if (others.length === 0) return this.#attendGroup(heads, only, onlyFirst);
    const rowBytes = embeddingLength * 4;
    const all = ggml.newTensor2d(context, GgmlType.F32, embeddingLength, onlyFirst ? this.#texts : this.#tokens);
    let column = 0;
    for (const group of groups) {
      const columns = group.count * (onlyFirst ? 1 : group.length);
      const place = ggml.view2d(context, all, embeddingLength, columns, rowBytes, column * rowBytes);
      ggml.buildForwardExpand(graph, ggml.cpy(context, this.#attendGroup(heads, group, onlyFirst), place));
      column += columns;
    }
    return all;
  }

  /** q, k and v, with where each of them lies in its tensor. */
  #project(x: Tensor, matrix: FusedMatrix): readonly Heads[] {
    const rowBytes = this.#parts.sizes.embeddingLength * 4;
    if (matrix.fused) {
      const tensor = this.linear({ weight: matrix.weight, bias: matrix.bias as Pointer }, x);
      return [0, 1, 2].map((part) => ({ tensor, tokenBytes: 3 * rowBytes, offset: part * rowBytes }));
    }
    return matrix.weights.map((weight, index) => ({
      tensor: this.linear({ weight, bias: matrix.biases[index] as Pointer }, x),
      tokenBytes: rowBytes,
      offset: 0,
    }));
  }

  #attendGroup(heads: readonly Heads[], { length, count, start }: LengthGroup, onlyFirst: boolean): Tensor {
    const {
      ggml,
      context,
      sizes: { headLength, headCount, embeddingLength },
    } = this.#parts;
    const [q, k, v] = heads.map(({ tensor, tokenBytes, offset }, index) => {
      const tokens = onlyFirst && index === 0 ? 1 : length;
      return ggml.view4d(
        context,
        tensor,
        headLength,
        tokens,
        headCount,
        count,
        tokenBytes,
        headLength * 4,
        length * tokenBytes,
        start * tokenBytes + offset,
      );
    }) as [Tensor, Tensor, Tensor];
    const attended = ggml.flashAttnExt(context, q, k, v, null, 1 / Math.sqrt(headLength), 0, 0);
    return ggml.reshape2d(context, attended, embeddingLength, count * (onlyFirst ? 1 : length));
  }
}

interface Heads {
  readonly tensor: Tensor;
  readonly tokenBytes: number;
  readonly offset: number;
}
