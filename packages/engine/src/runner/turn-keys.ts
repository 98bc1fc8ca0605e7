import koffi from 'koffi';
import { AutoglmError } from '@open-autoglm/protocol';
import type { Pointer } from '../ggml/bindings.ts';
import { GgmlType } from '../ggml/types.ts';
import { createContextPool, type ModelParts } from './graph.ts';
import { rotate } from './rope.ts';

/** Rows turned by one graph: its memory is a few times their keys in f32. */
const rowsMax = 512;

/**
 * Turns the keys in rows firstRow, firstRow + 1, … of every layer by so many positions, which may be negative: RoPE (Su et
 * al. 2021) turns a key by its position, so a key moves to another position by the difference. Each call rounds the keys to the
 * cache's type anew. Costs about as much as reading and writing the keys, and building a graph for every 512 rows.
 */
export function turnKeys(model: ModelParts, firstRow: number, turns: Int32Array): void {
  const { ggml, device } = model;
  const allocator = ggml.gallocrNew(device.bufferType);
  const contexts = createContextPool(model);
  try {
    for (let start = 0; start < turns.length; start += rowsMax) {
      const { context, close } = contexts.open();
      try {
        turnSome(model, { context, allocator }, firstRow + start, turns.subarray(start, start + rowsMax));
      } finally {
        close();
      }
    }
  } finally {
    contexts.close();
    ggml.gallocrFree(allocator);
  }
}

function turnSome(
  model: ModelParts,
  { context, allocator }: { readonly context: Pointer; readonly allocator: Pointer },
  firstRow: number,
  turns: Int32Array,
): void {
  const { ggml, device, sizes, cache } = model;
  const { kvHeadCount, headLength, layerCount } = sizes;
  const input = (type: number) => {
    const tensor = ggml.newTensor1d(context, type, turns.length);
    ggml.setInput(tensor);
    return tensor;
  };
  const [positions, from, to] = [input(GgmlType.I32), input(GgmlType.I32), input(GgmlType.I64)];
  const graph = ggml.newGraph(context, nodesPerLayer * layerCount, false);
  for (const layer of cache.layers) {
    const keys = ggml.view2d(context, layer, kvHeadCount * headLength, cache.rowCount, cache.rowBytes, 0);
    const heads = ggml.reshape3d(context, ggml.getRows(context, keys, from), headLength, kvHeadCount, turns.length);
    const turned = rotate(model, { context, heads, positions, inPlace: true });
    const rows = ggml.reshape2d(context, turned, kvHeadCount * headLength, turns.length);
    ggml.buildForwardExpand(graph, ggml.setRows(context, keys, rows, to));
  }
  if (!ggml.gallocrAlloc(allocator, graph)) throw new AutoglmError('engine_failed', 'There is not enough memory to turn keys.');
  const bytes = (tensor: Pointer) => koffi.view(ggml.getData(tensor), ggml.nbytes(tensor));
  new Int32Array(bytes(positions)).set(turns);
  new Int32Array(bytes(from)).set(turns.map((_, index) => firstRow + index));
  new BigInt64Array(bytes(to)).set(BigInt64Array.from(turns, (_, index) => BigInt(firstRow + index)));
  const status = ggml.graphCompute(device.backend, graph);
  if (status !== 0) throw new AutoglmError('engine_crashed', `ggml could not turn keys (status ${status}).`);
}

const nodesPerLayer = 8;
