import koffi from 'koffi';
import { AutoglmError } from '@open-autoglm/protocol';
import type { Hyperparameters } from '../architectures/hyperparameters.ts';
import type { Ggml, Pointer } from '../ggml/bindings.ts';
import type { Device } from '../ggml/device.ts';
import { GgmlType } from '../ggml/types.ts';
import type { KvCache } from './kv-cache.ts';
import { SlotTable } from './slot-table.ts';

interface StaticKvCacheOptions {
  readonly ggml: Ggml;
  readonly device: Device;
  readonly sizes: Hyperparameters;
  readonly maxSequences: number;
  /** Tokens that one sequence may hold. */
  readonly contextLength: number;
}

/** Rows of a slot are a multiple of this, so that every attention window fits into its slot. */
export const windowGranularity = 64;

/**
 * One contiguous slot for each sequence, in f16. The memory is reserved at once, but the system commits a page only when
 * a token is first written to it. Throws `engine_failed` when it cannot be reserved.
 */
export function createStaticKvCache({ ggml, device, sizes, maxSequences, contextLength }: StaticKvCacheOptions): KvCache {
  const elementBytes = 2;
  const keyLength = sizes.kvHeadCount * sizes.headLength;
  const rowBytes = 2 * keyLength * elementBytes;
  const slotRows = Math.ceil(contextLength / windowGranularity) * windowGranularity;
  // One slot more than sequences: a place to step aside to while sequences are rearranged.
  const rowCount = slotRows * (maxSequences + 1);
  const slotBytes = slotRows * rowBytes;

  const context = ggml.init({ mem_size: ggml.tensorOverhead() * (sizes.layerCount + 1), mem_buffer: null, no_alloc: true });
  const layers = Array.from({ length: sizes.layerCount }, () => ggml.newTensor2d(context, GgmlType.F16, 2 * keyLength, rowCount));
  const buffer = ggml.allocTensors(context, device.bufferType);
  if (!buffer) {
    const gigabytes = ((rowCount * rowBytes * sizes.layerCount) / 1e9).toFixed(1);
    throw new AutoglmError('engine_failed', `The KV cache needs ${gigabytes} GB: lower model_config.context_length or model_config.max_batch_size.`);
  }
  const memory = layers.map((layer) => layerBytes(ggml, layer));
  // Zeroing all at once would commit every page.
  const readableRows = new Uint32Array(maxSequences + 1);
  const table = new SlotTable(maxSequences, (from, to, length) => {
    for (const bytes of memory) bytes.copyWithin(to * slotBytes, from * slotBytes, from * slotBytes + length * rowBytes);
    readableRows[to] = Math.max(readableRows[to] as number, length);
  });
  return {
    layers, rowCount, rowBytes, valueOffset: keyLength * elementBytes, elementBytes, slotRows, slotBytes,
    // In the slot to step aside to, which is empty while a step runs.
    scratchRow: slotRows * maxSequences,
    capacity: maxSequences,
    acquire: (sequence) => table.acquire(sequence),
    release: (sequence) => table.release(sequence),
    slotOf: (sequence) => table.slotOf(sequence),
    arrange: (sequences, lengthOf) => table.arrange(sequences, lengthOf),
    makeReadable(slot, rows) {
      const from = readableRows[slot] as number;
      if (rows <= from) return;
      for (const bytes of memory) bytes.fill(0, slot * slotBytes + from * rowBytes, slot * slotBytes + rows * rowBytes);
      readableRows[slot] = rows;
    },
    close() {
      ggml.bufferFree(buffer);
      ggml.free(context);
    },
  };
}

function layerBytes(ggml: Ggml, layer: Pointer): Uint8Array {
  return new Uint8Array(koffi.view(ggml.getData(layer), ggml.nbytes(layer)));
}
