import { blockTokens } from '../kv-cache/kv-cache.ts';
import { buildGraph, createContextPool, type Graph, type ModelParts } from './graph.ts';
import { maskCausally } from './mask.ts';

interface Observation {
  readonly slot: number;
  readonly tokens: Int32Array;
  readonly start: number;
  /** Places that the graph sees; a multiple of a block. */
  readonly window: number;
}

/** See `Runner.weighBlocks`. */
export function weighBlocks(model: ModelParts, { slot, tokens, start, window }: Observation): Float64Array {
  const { ggml, device, cache } = model;
  const allocator = ggml.gallocrNew(device.bufferType);
  const contexts = createContextPool(model);
  try {
    const graph = buildGraph(model, { kind: 'prefill', count: tokens.length, window, wantsLogits: false, weighsBlocks: true }, allocator, contexts);
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
      tellBlocks(weighing.blocks, window);
      cache.makeReadable(slot, window);
      graph.useSlot(slot);
      graph.compute();
      return average(weighing.sums, { perRow: window / blockTokens, blockCount: Math.ceil((start + tokens.length) / blockTokens), layerCount: model.sizes.layerCount });
    } finally {
      graph.free();
    }
  } finally {
    contexts.close();
    ggml.gallocrFree(allocator);
  }
}

/** Row b of [window / 64][window] is 1 at the places of block b. */
function tellBlocks(blocks: Float32Array, window: number): void {
  blocks.fill(0);
  for (let block = 0; block * blockTokens < window; block += 1) {
    const first = block * window + block * blockTokens;
    blocks.fill(1, first, first + blockTokens);
  }
}

function average(weights: Float32Array, { perRow, blockCount, layerCount }: { readonly perRow: number; readonly blockCount: number; readonly layerCount: number }): Float64Array {
  const rows = weights.length / perRow;
  const sums = new Float64Array(blockCount);
  for (let row = 0; row < rows; row += 1) {
    for (let block = 0; block < blockCount; block += 1) sums[block] = (sums[block] as number) + (weights[row * perRow + block] as number);
  }
  return sums.map((sum) => sum / (rows * layerCount));
}
