interface NaiveBlock {
  /** Scope and all tokens up to the block's end, and which of them were generated; undefined while nobody may find it. */
  key: string | undefined;
  readonly holders: Set<string>;
  lastUse: number;
}

interface NaiveSequence {
  readonly scope: string;
  readonly promptLength: number;
  readonly blocks: NaiveBlock[];
  hasDropped?: boolean;
}

/** What `BlockManager` means, by searching and counting: no numbers, no hashes, no order that is kept. */
export class NaiveBlocks {
  readonly #capacity: number;
  readonly #size: number;
  readonly #sequences = new Map<string, NaiveSequence>();
  #known: NaiveBlock[] = [];
  /** Held, and not to be found. */
  readonly #private = new Set<NaiveBlock>();
  #clock = 0;

  constructor(capacity: number, size: number) {
    this.#capacity = capacity;
    this.#size = size;
  }

  get usedBlocks(): number {
    return this.#private.size + this.#known.filter(({ holders }) => holders.size > 0).length;
  }

  get cachedBlocks(): number {
    return this.#known.filter(({ holders }) => holders.size === 0).length;
  }

  /** The keys of a sequence's blocks. */
  keysOf(sequence: string): readonly (string | undefined)[] {
    return (this.#sequences.get(sequence) as NaiveSequence).blocks.map(({ key }) => key);
  }

  open(sequence: string, tokens: readonly number[], promptLength: number, scope: string, spare: number): number | undefined {
    const searched = promptLength < tokens.length ? tokens.slice(0, -1) : tokens;
    const found: NaiveBlock[] = [];
    for (let end = this.#size; end <= searched.length; end += this.#size) {
      const block = this.#find(keyOf(scope, searched.slice(0, end), promptLength));
      if (!block) break;
      found.push(block);
    }
    const wanted = Math.ceil((tokens.length + 1) / this.#size) - found.length;
    if (wanted + Math.ceil(spare / this.#size) > this.#room(found)) return undefined;
    for (const block of found) block.holders.add(sequence);
    this.#sequences.set(sequence, { scope, promptLength, blocks: [...found, ...this.#take(sequence, wanted)] });
    return found.length * this.#size;
  }

  reserve(sequence: string, length: number): boolean {
    const { blocks } = this.#sequences.get(sequence) as NaiveSequence;
    const wanted = Math.max(0, Math.ceil(length / this.#size) - blocks.length);
    if (wanted > this.#room([])) return false;
    blocks.push(...this.#take(sequence, wanted));
    return true;
  }

  commit(sequence: string, tokens: readonly number[], computed: number): void {
    const { blocks, scope, promptLength, hasDropped } = this.#sequences.get(sequence) as NaiveSequence;
    if (hasDropped) return;
    for (let index = 0; (index + 1) * this.#size <= computed; index += 1) {
      const key = keyOf(scope, tokens.slice(0, (index + 1) * this.#size), promptLength);
      const own = blocks[index] as NaiveBlock;
      const known = this.#find(key);
      if (own.key !== undefined) continue;
      this.#private.delete(own);
      if (known) {
        known.holders.add(sequence);
        blocks[index] = known;
      } else {
        own.key = key;
        this.#known.push(own);
      }
    }
  }

  catchUp(sequence: string, tokens: readonly number[], computed: number): number {
    const { blocks, scope, promptLength, hasDropped } = this.#sequences.get(sequence) as NaiveSequence;
    if (hasDropped || computed % this.#size !== 0) return computed;
    let known = computed;
    for (; known + this.#size <= tokens.length; known += this.#size) {
      const content = this.#find(keyOf(scope, tokens.slice(0, known + this.#size), promptLength));
      if (!content) break;
      this.#private.delete(blocks[known / this.#size] as NaiveBlock);
      content.holders.add(sequence);
      blocks[known / this.#size] = content;
    }
    return known;
  }

  fork(parent: string, child: string, length: number): boolean {
    const source = this.#sequences.get(parent) as NaiveSequence;
    const full = Math.floor(length / this.#size);
    const wanted = Math.ceil((length + 1) / this.#size) - full;
    if (wanted > this.#room([])) return false;
    const shared = source.blocks.slice(0, full);
    for (const block of shared) block.holders.add(child);
    this.#sequences.set(child, { ...source, blocks: [...shared, ...this.#take(child, wanted)] });
    return true;
  }

  /** What stays behind the first dropped block is the sequence's own afterwards. */
  drop(sequence: string, places: readonly number[]): boolean {
    const held = this.#sequences.get(sequence) as NaiveSequence;
    const old = held.blocks.slice(places[0]);
    const staying = old.filter((_, index) => !places.includes(index + (places[0] as number)));
    let room = this.#room([]) - staying.filter(({ holders }) => holders.size > 1).length;
    if (room < 0) return false;
    held.blocks.length = places[0] as number;
    const kept: NaiveBlock[] = [];
    for (const block of staying) {
      const isShared = block.holders.size > 1;
      const isFound = block.key !== undefined && this.#known.includes(block);
      if (isShared || (isFound && room > 0)) {
        room -= isShared ? 0 : 1;
        held.blocks.push(...this.#take(sequence, 1));
        continue;
      }
      block.key = undefined;
      this.#known = this.#known.filter((other) => other !== block);
      this.#private.add(block);
      kept.push(block);
      held.blocks.push(block);
    }
    for (const block of old.toReversed()) if (!kept.includes(block)) this.#letGo(block, sequence);
    held.hasDropped = true;
    return true;
  }

  release(sequence: string): void {
    const { blocks } = this.#sequences.get(sequence) as NaiveSequence;
    this.#sequences.delete(sequence);
    for (const block of blocks.toReversed()) this.#letGo(block, sequence);
  }

  #letGo(block: NaiveBlock, sequence: string): void {
    block.holders.delete(sequence);
    if (block.holders.size === 0) this.#private.delete(block);
    block.lastUse = this.#clock += 1;
  }

  #find(key: string): NaiveBlock | undefined {
    return this.#known.find((block) => block.key === key);
  }

  #room(except: readonly NaiveBlock[]): number {
    return this.#capacity - this.usedBlocks - except.filter(({ holders }) => holders.size === 0).length;
  }

  #take(sequence: string, count: number): NaiveBlock[] {
    return Array.from({ length: count }, () => {
      if (this.#known.length + this.#private.size === this.#capacity) {
        const idle = this.#known.filter(({ holders }) => holders.size === 0);
        const oldest = idle.reduce((a, b) => (b.lastUse < a.lastUse ? b : a));
        this.#known = this.#known.filter((block) => block !== oldest);
      }
      const block: NaiveBlock = { key: undefined, holders: new Set([sequence]), lastUse: 0 };
      this.#private.add(block);
      return block;
    });
  }
}

function keyOf(scope: string, tokens: readonly number[], promptLength: number): string {
  return JSON.stringify([scope, tokens, Math.min(promptLength, tokens.length)]);
}
