import koffi from 'koffi';
import { AutoglmError } from '@open-autoglm/protocol';
import type { Architecture } from '../architectures/architecture.ts';
import type { Hyperparameters } from '../architectures/hyperparameters.ts';
import type { Ggml, Pointer } from '../ggml/bindings.ts';
import type { Device } from '../ggml/device.ts';
import { tensorLayout } from '../ggml/tensor-layout.ts';
import type { KvCache } from '../kv-cache/kv-cache.ts';
import { ContextPool } from './context-pool.ts';
import { GraphBuilder, tokenCount, type GraphShape } from './graph-builder.ts';
import type { ColumnPlans } from './batch-plan.ts';
import type { Weights } from './weights.ts';

export interface ModelParts {
  readonly ggml: Ggml;
  readonly device: Device;
  readonly architecture: Architecture;
  readonly sizes: Hyperparameters;
  readonly weights: Weights;
  readonly cache: KvCache;
  readonly columnPlans: ColumnPlans;
  readonly vocabularySize: number;
  /** False: each step builds its graph anew. */
  readonly keepsGraphs: boolean;
}

/** A graph that has been built and given memory, with its inputs and its result as typed arrays over that memory. */
export interface Graph {
  readonly shape: GraphShape;
  readonly streams: number;
  readonly tokens: Int32Array;
  readonly positions: Int32Array;
  readonly rows: BigInt64Array;
  /** IEEE binary16, as its bits. */
  readonly mask: Uint16Array;
  /** [vocabularySize] for each token whose logits are computed; valid until the next graph runs. */
  readonly logits: readonly Float32Array[];
  /** Of a graph that weighs blocks: its further inputs, and the result, [headCount][count][window / 64 + 1], summed over the layers. */
  readonly weighing: { readonly places: Int32Array; readonly blocks: Float32Array; readonly sums: Float32Array } | undefined;
  /** Makes a prefill graph read and write this slot. */
  useSlot(slot: number): void;
  compute(): void;
  free(): void;
}

/**
 * Objects a layer needs in the graph's context, with room to spare: 48 in qwen3 with AMX, matrices apart and blocks weighed. One object
 * costs about 370 bytes; one too many aborts the process.
 */
const tensorsPerLayer = 56;

function tensorsFor(sizes: Hyperparameters): number {
  return tensorsPerLayer * (sizes.layerCount + 1);
}

/** Memory for the objects of one graph after another. */
export function createContextPool({ ggml, sizes }: ModelParts): ContextPool {
  const tensorCount = tensorsFor(sizes);
  return new ContextPool(ggml, ggml.tensorOverhead() * tensorCount + ggml.graphOverhead(tensorCount, false));
}

/** Builds the graph of a shape and places it into the allocator's buffer, growing it when needed. */
export function buildGraph(model: ModelParts, shape: GraphShape, allocator: Pointer, contexts: ContextPool): Graph {
  const { ggml, architecture, sizes, weights, cache } = model;
  const tensorCount = tensorsFor(sizes);
  const { context, close } = contexts.open();
  const graph = ggml.newGraph(context, tensorCount, false);
  const builder = new GraphBuilder({ ggml, context, graph, architecture, sizes, cache, weights, columnPlans: model.columnPlans, shape });
  const output = buildTransformer(builder, model, shape);
  ggml.setOutput(output);
  if (builder.blockWeights) ggml.setOutput(builder.blockWeights);
  ggml.buildForwardExpand(graph, output);
  if (!ggml.gallocrAlloc(allocator, graph)) {
    close();
    throw new AutoglmError('engine_failed', 'There is not enough memory for a step: lower model_config.step_token_budget.');
  }

  const { inputs, streams, slotViews, blockWeights } = builder;
  const bytes = (tensor: Pointer) => koffi.view(ggml.getData(tensor), ggml.nbytes(tensor));
  const rowsOfLogits = shape.kind === 'decode' ? tokenCount(shape) : Number(shape.wantsLogits);
  const logits = rowsOfLogits > 0 ? bytes(output) : new ArrayBuffer(0);
  const bases = cache.layers.map((layer) => ggml.getData(layer));
  const dataFields = slotViews.map(({ view }) => new BigUint64Array(koffi.view(view + BigInt(tensorLayout.data), 8)));
  return {
    shape,
    streams,
    tokens: new Int32Array(bytes(inputs.tokens)),
    positions: new Int32Array(bytes(inputs.positions)),
    rows: new BigInt64Array(bytes(inputs.rows)),
    mask: new Uint16Array(bytes(inputs.mask)),
    logits: Array.from(
      { length: rowsOfLogits },
      (_, row) => new Float32Array(logits, row * model.vocabularySize * 4, model.vocabularySize),
    ),
    weighing:
      inputs.weighing && blockWeights !== undefined
        ? {
            places: new Int32Array(bytes(inputs.weighing.places)),
            blocks: new Float32Array(bytes(inputs.weighing.blocks)),
            sums: new Float32Array(bytes(blockWeights)),
          }
        : undefined,
    useSlot(slot) {
      const slotOffset = BigInt(slot * cache.slotBytes);
      for (const [index, { layer, offset }] of slotViews.entries()) {
        (dataFields[index] as BigUint64Array)[0] = (bases[layer] as bigint) + slotOffset + BigInt(offset);
      }
    },
    compute() {
      const status = model.device.compute(graph);
      if (status !== 0) throw new AutoglmError('engine_crashed', `ggml could not compute a step (status ${status}).`);
    },
    free: close,
  };
}

/** Embedding, layers, final norm, logits. Returns the last node. */
function buildTransformer(builder: GraphBuilder, model: ModelParts, shape: GraphShape): Pointer {
  const { architecture, sizes, weights } = model;
  const onlyLast = (x: Pointer, rows: number) => builder.lastColumn(x, rows, shape.count);
  const headsLength = sizes.headCount * sizes.headLength;
  let x = builder.embed(weights.tokenEmbedding);
  for (const layer of weights.layers) {
    const isLast = layer.index === sizes.layerCount - 1;
    // Of a prompt only the last token's logits are wanted: the last layer computes its second half for that one.
    const outputs =
      isLast && shape.kind === 'prefill'
        ? (columns: Pointer) => onlyLast(columns, columns === x ? sizes.embeddingLength : headsLength)
        : undefined;
    x = architecture.layer(builder, x, layer, outputs);
  }
  if (shape.kind === 'prefill' && !shape.wantsLogits) return x;
  return builder.matmul(weights.output, builder.norm(x, weights.outputNorm));
}
