import { blockTokens } from '../kv-cache/kv-cache.ts';
import { buildGraph, createContextPool, type Graph, type ModelParts } from './graph.ts';
import { maskCausally } from './mask.ts';

interface Observation {
  readonly slot: number;
  readonly tokens: Int32Array;
  readonly start: number;
  /** Places that the graph sees; a multiple of a block. */
  readonly window: number;
  /** Places from here on count together. */
  readonly restFrom: number;
}

export interface BlockWeights {
  readonly blocks: Float64Array;
  readonly rest: number;
}

/** See `Runner.weighBlocks`. */
export function weighBlocks(model: ModelParts, { slot, tokens, start, window, restFrom }: Observation): BlockWeights {
  const { ggml, device, cache } = model;
  const allocator = ggml.gallocrNew(device.bufferType);
  const contexts = createContextPool(model);
  try {
    const graph = buildGraph(
      model,
      { kind: 'prefill', count: tokens.length, window, wantsLogits: false, weighsBlocks: true },
      allocator,
      contexts,
    );
    try {
      graph.tokens.set(tokens);
      for (let index = 0; index < tokens.length; index += 1) {
        graph.positions[index] = start + index;
        // Their keys and values are there; these go where nobody looks.
        graph.rows[index] = BigInt(cache.scratchRow + index);
      }
      maskCausally(graph, start, tokens.length);
      const weighing = graph.weighing as NonNullable<Graph['weighing']>;
      for (let place = 0; place < window; place += 1) weighing.places[place] = slot * cache.slotRows + place;
      tellBlocks(weighing.blocks, window, restFrom);
      cache.makeReadable(slot, window);
      graph.useSlot(slot);
      graph.compute();
      const shares = average(weighing.sums, window / blockTokens + 1, model.sizes.layerCount);
      return { blocks: shares.subarray(0, Math.ceil((start + tokens.length) / blockTokens)), rest: shares.at(-1) as number };
    } finally {
      graph.free();
    }
  } finally {
    contexts.close();
    ggml.gallocrFree(allocator);
  }
}

/** Row b of [window / 64 + 1][window] is 1 at the places of block b, the last one at those of the rest. */
function tellBlocks(blocks: Float32Array, window: number, restFrom: number): void {
  blocks.fill(0);
  for (let place = 0; place < window; place += 1) {
    const row = place < restFrom ? Math.floor(place / blockTokens) : window / blockTokens;
    blocks[row * window + place] = 1;
  }
}

/** The mean of rows of `length`, of layers that were summed. */
function average(sums: Float32Array, length: number, layerCount: number): Float64Array {
  const means = new Float64Array(length);
  for (let index = 0; index < sums.length; index += 1) means[index % length] = (means[index % length] as number) + (sums[index] as number);
  return means.map((sum) => (sum * length) / (sums.length * layerCount));
}
