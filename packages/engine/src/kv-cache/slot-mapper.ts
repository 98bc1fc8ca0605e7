import type { VirtualMemory } from './virtual-memory.ts';

export interface SlotMapperOptions {
  readonly memory: VirtualMemory;
  readonly layerCount: number;
  readonly blockCount: number;
  /** Of one layer; a multiple of a page. */
  readonly blockBytes: number;
  readonly slotCount: number;
  readonly slotBlocks: number;
  /** Places of slots, counted once for all layers, that may show blocks at one time. At least what the sequences hold. */
  readonly placesMax: number;
}

/** A place that shows zeros. */
const nothing = -1;
/** A place whose layers may show one block here and another there, since the system refused in between: whoever wants it maps it anew. */
const unclear = -2;

/**
 * Slots whose rows lie side by side in the address space of a layer, while the blocks behind them lie anywhere in a file
 * that exists in memory only: what vAttention (Prabhu et al. 2024) does on a GPU. So kernels see one strided tensor, and
 * sharing a block is mapping it twice.
 *
 * A slot that nobody holds keeps showing what it showed, until another sequence needs the place: a system call costs
 * some microseconds and a page about a quarter of one. Nobody writes to places that are not held, and what is read from
 * them is masked.
 */
export class SlotMapper {
  /** Where each layer's slots begin; one block more follows the slots, to write what nobody reads. */
  readonly addresses: readonly bigint[];
  readonly #options: SlotMapperOptions;
  readonly #file: number;
  readonly #layerBytes: number;
  /** By slot and place: the block that is shown. */
  readonly #shown: Int32Array;
  /** By slot: how many places a sequence holds. */
  readonly #held: Int32Array;
  readonly #isAllocated: Uint8Array;
  #shownCount = 0;
  #heldCount = 0;
  #allocatedCount = 0;

  /** Throws what `VirtualMemory` throws. */
  constructor(options: SlotMapperOptions) {
    const { memory, layerCount, blockCount, blockBytes, slotCount, slotBlocks } = options;
    this.#options = options;
    this.#layerBytes = (slotCount * slotBlocks + 1) * blockBytes;
    this.#shown = new Int32Array(slotCount * slotBlocks).fill(nothing);
    this.#held = new Int32Array(slotCount);
    this.#isAllocated = new Uint8Array(blockCount);
    // The block that nobody reads comes last, and one serves all layers.
    this.#file = memory.createFile((layerCount * blockCount + 1) * blockBytes);
    this.addresses = Array.from({ length: layerCount }, () => memory.reserve(this.#layerBytes));
    const scratchOffset = layerCount * blockCount * blockBytes;
    memory.allocate(this.#file, scratchOffset, blockBytes);
    for (const address of this.addresses)
      memory.map(address + BigInt(this.#layerBytes - blockBytes), blockBytes, this.#file, scratchOffset);
  }

  /** Bytes of physical memory that blocks have. They keep it. */
  get allocatedBytes(): number {
    return this.#allocatedCount * this.#options.layerCount * this.#options.blockBytes;
  }

  /** Whether so many places more can be held. */
  hasRoomFor(places: number): boolean {
    return this.#heldCount + places <= this.#options.placesMax;
  }

  /**
   * Makes a slot show these blocks, and holds their places. Costs system calls only where it showed others. Throws what
   * `VirtualMemory` throws; the slot is then to be hidden, or shown again with fewer.
   */
  show(slot: number, blocks: readonly number[]): void {
    const first = slot * this.#options.slotBlocks;
    this.#setHeld(slot, blocks.length);
    for (let place = 0; place < blocks.length;) {
      const count = this.#runLength(first, place, blocks);
      if (count > 0) this.#map(first + place, blocks[place] as number, count);
      place += Math.max(1, count);
    }
  }

  /** Holds no place of the slot any more. */
  hide(slot: number): void {
    this.#setHeld(slot, 0);
  }

  /** Copies the first `bytes` of a slot's place, in every layer, to a place of another slot. */
  copy(
    from: { readonly slot: number; readonly place: number },
    to: { readonly slot: number; readonly place: number },
    bytes: number,
  ): void {
    const { memory, slotBlocks, blockBytes } = this.#options;
    const offset = ({ slot, place }: typeof from) => BigInt((slot * slotBlocks + place) * blockBytes);
    for (const address of this.addresses) memory.copy(address + offset(to), address + offset(from), bytes);
  }

  close(): void {
    for (const address of this.addresses) this.#options.memory.release(address, this.#layerBytes);
    this.#options.memory.closeFile(this.#file);
  }

  /** Places from `place` on that lack their block, and whose blocks are neighbours: they are mapped in one piece. */
  #runLength(first: number, place: number, blocks: readonly number[]): number {
    let count = 0;
    while (
      place + count < blocks.length &&
      this.#shown[first + place + count] !== blocks[place + count] &&
      blocks[place + count] === (blocks[place] as number) + count
    )
      count += 1;
    return count;
  }

  #map(index: number, block: number, count: number): void {
    const { memory, blockCount, blockBytes, placesMax } = this.#options;
    this.#allocate(block, count);
    let added = 0;
    for (let offset = 0; offset < count; offset += 1) added += this.#shown[index + offset] === nothing ? 1 : 0;
    if (this.#shownCount + added > placesMax) this.#forgetOthers();
    for (let offset = 0; offset < count; offset += 1) this.#setShown(index + offset, unclear);
    for (const [layer, address] of this.addresses.entries()) {
      memory.map(address + BigInt(index * blockBytes), count * blockBytes, this.#file, (layer * blockCount + block) * blockBytes);
    }
    for (let offset = 0; offset < count; offset += 1) this.#setShown(index + offset, block + offset);
  }

  #allocate(block: number, count: number): void {
    const { memory, layerCount, blockCount, blockBytes } = this.#options;
    for (let begin = block; begin < block + count; begin += 1) {
      if (this.#isAllocated[begin]) continue;
      let end = begin + 1;
      while (end < block + count && !this.#isAllocated[end]) end += 1;
      for (let layer = 0; layer < layerCount; layer += 1)
        memory.allocate(this.#file, (layer * blockCount + begin) * blockBytes, (end - begin) * blockBytes);
      this.#isAllocated.fill(1, begin, end);
      this.#allocatedCount += end - begin;
      begin = end;
    }
  }

  /** Lets the places that nobody holds show zeros again: the system's table of mappings is bounded. */
  #forgetOthers(): void {
    const { memory, blockBytes, slotBlocks } = this.#options;
    for (const [slot, held] of this.#held.entries()) {
      const [begin, end] = [slot * slotBlocks + held, (slot + 1) * slotBlocks];
      if (this.#shown.subarray(begin, end).every((block) => block === nothing)) continue;
      for (let index = begin; index < end; index += 1) if (this.#shown[index] !== nothing) this.#setShown(index, unclear);
      for (const address of this.addresses) memory.unmap(address + BigInt(begin * blockBytes), (end - begin) * blockBytes);
      for (let index = begin; index < end; index += 1) this.#setShown(index, nothing);
    }
  }

  #setShown(index: number, block: number): void {
    this.#shownCount += Number(block !== nothing) - Number(this.#shown[index] !== nothing);
    this.#shown[index] = block;
  }

  #setHeld(slot: number, count: number): void {
    this.#heldCount += count - (this.#held[slot] as number);
    this.#held[slot] = count;
  }
}
