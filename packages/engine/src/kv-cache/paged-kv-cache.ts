import { AutoglmError } from '@open-autoglm/protocol';
import { BlockManager } from './block-manager.ts';
import type { BlockHash } from './block-hash.ts';
import { blockTokens, type KvCache } from './kv-cache.ts';
import { newLayerTensors } from './layer-tensors.ts';
import type { KvCacheParts } from './kv-cache-parts.ts';
import { layOutRow } from './row-layout.ts';
import { SlotMapper } from './slot-mapper.ts';
import { SlotTable } from './slot-table.ts';
import { OutOfMemoryError, type VirtualMemory } from './virtual-memory.ts';

export interface PagedKvCacheParts extends KvCacheParts {
  readonly memory: VirtualMemory;
  /** Most physical memory that keys and values may take. */
  readonly maxBytes: number;
  /** Mappings that the system lets a process have. */
  readonly mappingsMax: number;
  readonly hash?: BlockHash;
}

/**
 * Blocks of 64 tokens, shared by sequences of a scope that begin alike, behind slots that look contiguous. Memory is
 * committed as blocks are first used, and kept. Throws `engine_failed` when the bounds leave no room for a single block,
 * and what `VirtualMemory` throws.
 */
export function createPagedKvCache(parts: PagedKvCacheParts): KvCache {
  const { ggml, sizes, maxSequences, memory } = parts;
  const row = layOutRow(ggml, parts.type, sizes, Math.max(1, memory.pageBytes / blockTokens));
  const blockBytes = row.rowBytes * blockTokens;
  // Each block of each layer may need a mapping of its own; a quarter is left to the rest of the process.
  const placesMax = Math.floor((parts.mappingsMax * 0.75) / sizes.layerCount);
  const slotBlocks = Math.ceil(parts.contextLength / blockTokens);
  const blockCount = Math.min(Math.floor(parts.maxBytes / (blockBytes * sizes.layerCount)), slotBlocks * maxSequences, references);
  const sequenceBlocks = Math.min(slotBlocks, blockCount, placesMax);
  if (sequenceBlocks < 1) {
    throw new AutoglmError(
      'engine_failed',
      `The KV cache may take ${parts.maxBytes} bytes, and ${blockTokens} tokens of this model need ${blockBytes * sizes.layerCount}: raise model_config.kv_cache_bytes.`,
    );
  }
  const slotCount = maxSequences + 1;
  const slotRows = slotBlocks * blockTokens;
  const scratchRow = slotCount * slotRows;
  const rowCount = scratchRow + blockTokens;

  const blocks = new BlockManager({ blockCount, blockTokens, ...(parts.hash && { hash: parts.hash }) });
  const mapper = new SlotMapper({ memory, layerCount: sizes.layerCount, blockCount, blockBytes, slotCount, slotBlocks, placesMax });
  const table = new SlotTable(maxSequences, (from, to, _, sequence) => {
    mapper.hide(from);
    if (showIn(to, sequence)) return true;
    mapper.hide(to);
    return false;
  });
  const context = ggml.init({ mem_size: ggml.tensorOverhead() * (sizes.layerCount + 1), mem_buffer: null, no_alloc: true });
  const layers = newLayerTensors(ggml, context, row, rowCount, sizes.layerCount);
  const buffers = layers.map((layer, index) => {
    const address = mapper.addresses[index] as bigint;
    const buffer = ggml.cpuBufferFromPointer(address, rowCount * row.rowBytes);
    ggml.tensorAlloc(buffer, layer, address);
    return buffer;
  });

  const release = (sequence: string): boolean => {
    if (table.has(sequence)) mapper.hide(table.slotOf(sequence));
    blocks.release(sequence);
    return table.release(sequence);
  };
  /** Shows the sequence's blocks in a slot; false when the system refuses. */
  const showIn = (slot: number, sequence: string): boolean => {
    try {
      mapper.show(slot, blocks.blocksOf(sequence));
      return true;
    } catch (error) {
      if (error instanceof OutOfMemoryError) return false;
      throw error;
    }
  };
  const show = (sequence: string): boolean => showIn(table.slotOf(sequence), sequence);
  const place = (sequence: string): boolean => {
    table.acquire(sequence);
    if (show(sequence)) return true;
    release(sequence);
    return false;
  };
  const blocksFor = (length: number) => Math.ceil(length / blockTokens);
  return {
    strategy: 'paged',
    layers,
    rowCount,
    ...row,
    slotRows,
    slotBytes: slotRows * row.rowBytes,
    scratchRow,
    capacity: maxSequences,
    maxSequenceTokens: sequenceBlocks * blockTokens,
    get usage() {
      return blocks.usage;
    },
    get committedBytes() {
      return mapper.allocatedBytes;
    },
    acquire(request) {
      if (table.isFull || !mapper.hasRoomFor(blocksFor(Math.min(request.tokens.length + 1, request.tokensMax ?? Infinity))))
        return undefined;
      const found = blocks.open(request);
      return found === undefined || !place(request.sequence) ? undefined : found;
    },
    fork(parent, child, length) {
      if (table.isFull || !mapper.hasRoomFor(blocksFor(length + 1))) return false;
      const forked = blocks.fork(parent, child, length);
      if (!forked || !place(child)) return false;
      const last = Math.floor(length / blockTokens);
      if (forked.copy)
        mapper.copy(
          { slot: table.slotOf(parent), place: last },
          { slot: table.slotOf(child), place: last },
          (length % blockTokens) * row.rowBytes,
        );
      return true;
    },
    reserve(sequence, length) {
      const before = blocks.blocksOf(sequence).length;
      const wanted = blocksFor(length) - before;
      if (wanted <= 0) return true;
      if (!mapper.hasRoomFor(wanted) || !blocks.reserve(sequence, length)) return false;
      if (show(sequence)) return true;
      blocks.shrink(sequence, before);
      show(sequence);
      return false;
    },
    drop(sequence, places) {
      const before = [...blocks.blocksOf(sequence)];
      const copies = blocks.drop(sequence, places);
      if (!copies) return 'short';
      const after = blocks.blocksOf(sequence);
      const slot = table.slotOf(sequence);
      try {
        // From the front: what a place showed has then moved already, or goes.
        for (const { from, to } of copies) {
          mapper.show(slot, [...after.slice(0, to + 1), ...before.slice(to + 1)]);
          mapper.copy({ slot, place: from }, { slot, place: to }, blockBytes);
        }
        mapper.show(slot, after);
        return 'dropped';
      } catch (error) {
        if (!(error instanceof OutOfMemoryError)) throw error;
        release(sequence);
        return 'lost';
      }
    },
    commit(sequence, tokens, computed) {
      return !blocks.commit(sequence, tokens, computed) || show(sequence);
    },
    catchUp(sequence, tokens, computed) {
      const known = blocks.catchUp(sequence, tokens, computed);
      return known === computed || show(sequence) ? known : undefined;
    },
    suspend(sequence, tokens, computed) {
      if (!table.has(sequence)) return;
      // Where it stood, another may be mapped from now on: nothing needs to be shown there.
      blocks.commit(sequence, tokens, computed);
      release(sequence);
    },
    release,
    slotOf: (sequence) => table.slotOf(sequence),
    arrange: (sequences, lengthOf) => table.arrange(sequences, lengthOf),
    // Places that show no block show zeros, and blocks are zeroed before their first use.
    makeReadable() {},
    close() {
      for (const buffer of buffers) ggml.bufferFree(buffer);
      ggml.free(context);
      mapper.close();
    },
  };
}

/** Blocks at most: their numbers and reference counts are kept in arrays. */
const references = 2 ** 24;
