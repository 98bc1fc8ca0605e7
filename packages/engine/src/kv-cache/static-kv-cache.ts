import koffi from 'koffi';
import { AutoglmError } from '@open-autoglm/protocol';
import { blockTokens, type KvCache } from './kv-cache.ts';
import type { KvCacheParts } from './kv-cache-parts.ts';
import { newLayerTensors } from './layer-tensors.ts';
import { layOutRow } from './row-layout.ts';
import { SlotTable } from './slot-table.ts';

/**
 * One contiguous slot for each sequence, which shares nothing. The memory is reserved at once, but the system commits a
 * page only when a token is first written to it. Throws `engine_failed` when it cannot be reserved.
 */
export function createStaticKvCache({ ggml, device, sizes, maxSequences, contextLength, type }: KvCacheParts): KvCache {
  const row = layOutRow(ggml, type, sizes);
  const { rowBytes } = row;
  const slotRows = Math.ceil(contextLength / blockTokens) * blockTokens;
  const slotBytes = slotRows * rowBytes;
  // One slot more than sequences: a place to step aside to while sequences are rearranged.
  const scratchRow = slotRows * (maxSequences + 1);
  const rowCount = scratchRow + blockTokens;

  const context = ggml.init({ mem_size: ggml.tensorOverhead() * (sizes.layerCount + 1), mem_buffer: null, no_alloc: true });
  const layers = newLayerTensors(ggml, context, row, rowCount, sizes.layerCount);
  const buffer = ggml.allocTensors(context, device.bufferType);
  if (!buffer) {
    ggml.free(context);
    const gigabytes = ((rowCount * rowBytes * sizes.layerCount) / 1e9).toFixed(1);
    throw new AutoglmError(
      'engine_failed',
      `The KV cache needs ${gigabytes} GB: lower model_config.context_length or model_config.max_batch_size.`,
    );
  }
  const memory = layers.map((layer) => new Uint8Array(koffi.view(ggml.getData(layer), ggml.nbytes(layer))));
  // Zeroing all at once would commit every page.
  const readableRows = new Uint32Array(maxSequences + 1);
  const makeReadable = (slot: number, rows: number) => {
    const from = readableRows[slot] as number;
    if (rows <= from) return;
    for (const bytes of memory) bytes.fill(0, slot * slotBytes + from * rowBytes, slot * slotBytes + rows * rowBytes);
    readableRows[slot] = rows;
  };
  const copyRows = (from: number, to: number, length: number) => {
    for (const bytes of memory) bytes.copyWithin(to * slotBytes, from * slotBytes, from * slotBytes + length * rowBytes);
    readableRows[to] = Math.max(readableRows[to] as number, length);
    return true;
  };
  const table = new SlotTable(maxSequences, copyRows);
  const lengths = new Map<string, number>();
  let queryTokens = 0;
  let hitTokens = 0;
  const place = (sequence: string, length: number): boolean => {
    if (!table.acquire(sequence)) return false;
    lengths.set(sequence, length);
    queryTokens += length;
    return true;
  };
  const lengthOf = (sequence: string): number => {
    const length = lengths.get(sequence);
    if (length === undefined) throw new Error(`sequence ${sequence} holds no slot`);
    return length;
  };
  const release = (sequence: string): boolean => {
    lengths.delete(sequence);
    return table.release(sequence);
  };
  return {
    strategy: 'static',
    layers,
    rowCount,
    ...row,
    slotRows,
    slotBytes,
    scratchRow,
    capacity: maxSequences,
    maxSequenceTokens: slotRows,
    get usage() {
      const usedTokens = [...lengths.values()].reduce((sum, length) => sum + length, 0);
      return { capacityTokens: maxSequences * slotRows, usedTokens, cachedTokens: 0, queryTokens, hitTokens };
    },
    get committedBytes() {
      return readableRows.reduce((sum, rows) => sum + rows, 0) * rowBytes * sizes.layerCount;
    },
    acquire: ({ sequence, tokens, tokensMax = Infinity }) => (place(sequence, Math.min(tokens.length, tokensMax)) ? 0 : undefined),
    fork(parent, child, length) {
      if (!place(child, length)) return false;
      copyRows(table.slotOf(parent), table.slotOf(child), length);
      hitTokens += length;
      return true;
    },
    reserve(sequence, length) {
      lengths.set(sequence, Math.max(length, lengthOf(sequence)));
      return true;
    },
    drop(sequence, places, rows) {
      const slot = table.slotOf(sequence);
      for (const { from, to, count } of movesAfter(places, rows / blockTokens)) {
        const [start, end, target] = [from, from + count, to].map((block) => slot * slotBytes + block * blockTokens * rowBytes) as [
          number,
          number,
          number,
        ];
        for (const bytes of memory) bytes.copyWithin(target, start, end);
      }
      lengths.set(sequence, rows - places.length * blockTokens);
      return 'dropped';
    },
    commit: () => true,
    catchUp: (_, __, computed) => computed,
    suspend: release,
    release,
    slotOf: (sequence) => table.slotOf(sequence),
    arrange: (sequences, lengthOf) => table.arrange(sequences, lengthOf),
    makeReadable,
    close() {
      ggml.bufferFree(buffer);
      ggml.free(context);
    },
  };
}

/** The runs of blocks that stay behind the first dropped one, and where they go. */
function movesAfter(
  places: readonly number[],
  blockCount: number,
): { readonly from: number; readonly to: number; readonly count: number }[] {
  return places.flatMap((place, index) => {
    const from = place + 1;
    const count = (places[index + 1] ?? blockCount) - from;
    return count > 0 ? [{ from, to: from - index - 1, count }] : [];
  });
}
