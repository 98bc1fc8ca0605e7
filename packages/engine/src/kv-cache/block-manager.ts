import { hashBlock, hashScope, type BlockHash } from './block-hash.ts';
import { FreeBlocks } from './free-blocks.ts';
import type { KvUsage, PlaceRequest } from './kv-cache.ts';

export interface BlockManagerOptions {
  readonly blockCount: number;
  /** Tokens of a block. */
  readonly blockTokens: number;
  /** Another one than `hashBlock` only to test what collisions do. */
  readonly hash?: BlockHash;
}

/** A block's tokens, known to all of its scope: whoever begins with the same chain may read it. */
interface Content {
  readonly block: number;
  /** Of the chain up to here. */
  readonly hash: number;
  readonly scope: string;
  readonly parent: Content | undefined;
  readonly tokens: Int32Array;
  /** How many of the tokens were read as a prompt; the others were generated. */
  readonly promptTokens: number;
}

/** What a sequence holds. */
interface Holding {
  readonly scope: string;
  readonly promptLength: number;
  /** In the order of its tokens. */
  readonly blocks: number[];
  /** Blocks from the front that are full and will not change any more. */
  sealed: number;
  /** Of the last block that was made known. */
  last: Content | undefined;
  /** False from the first block on whose hash stands for other tokens: none after it can be found. */
  isShareable: boolean;
}

/** A block to be copied within its sequence, by its place there: behind the ones that were dropped, and before. */
export interface PlaceCopy {
  readonly from: number;
  readonly to: number;
}

/** A block to be copied, as far as it is filled, before the sequence that got the copy writes to it. */
export interface BlockCopy {
  readonly from: number;
  readonly to: number;
}

/**
 * Which blocks of the KV cache belong to which sequence: PagedAttention's block table (Kwon et al. 2023) with reference
 * counts, and an index of full blocks by a hash chain over scope and tokens, so that a prompt finds the longest beginning
 * that was computed before. Blocks that nobody holds stay known until their memory is wanted, and go in the order of
 * their last use. Whoever holds a block holds all before it, and lets go of them from the last to the first: so the order
 * of last use never takes a block away from under one that continues it, and only leaves go.
 *
 * Tokens that were generated are told from those read as a prompt: ggml computes the two with different kernels, whose
 * results differ in their last bits, and an answer must not depend on what others asked before.
 *
 * It knows numbers, not memory. Every method costs time linear in the tokens it is given, and nothing else.
 */
export class BlockManager {
  readonly #blockCount: number;
  readonly #blockTokens: number;
  readonly #hash: BlockHash;
  readonly #free: FreeBlocks;
  readonly #references: Uint32Array;
  readonly #contents: (Content | undefined)[];
  readonly #index = new Map<number, Content>();
  /** Known blocks that nobody holds; the one unused longest first. */
  readonly #idle = new Set<number>();
  readonly #holdings = new Map<string, Holding>();
  #queryTokens = 0;
  #hitTokens = 0;

  constructor({ blockCount, blockTokens, hash = hashBlock }: BlockManagerOptions) {
    this.#blockCount = blockCount;
    this.#blockTokens = blockTokens;
    this.#hash = hash;
    this.#free = new FreeBlocks(blockCount);
    this.#references = new Uint32Array(blockCount);
    this.#contents = new Array<Content | undefined>(blockCount).fill(undefined);
  }

  get usage(): KvUsage {
    const tokens = (blocks: number) => blocks * this.#blockTokens;
    const idle = this.#idle.size;
    return {
      capacityTokens: tokens(this.#blockCount),
      usedTokens: tokens(this.#blockCount - this.#free.size - idle),
      cachedTokens: tokens(idle),
      queryTokens: this.#queryTokens,
      hitTokens: this.#hitTokens,
    };
  }

  /** The sequence's blocks, in the order of its tokens. */
  blocksOf(sequence: string): readonly number[] {
    return this.#holding(sequence).blocks;
  }

  /**
   * Gives a sequence blocks for its tokens and the one that follows. Returns how many tokens, whole blocks from the front,
   * need not be computed; `undefined` when there is no room, and then nothing has changed.
   */
  open({
    sequence,
    tokens,
    promptLength,
    scope,
    spareTokens,
    tokensMax = Infinity,
    findableTokens = Infinity,
  }: PlaceRequest): number | undefined {
    if (this.#holdings.has(sequence)) throw new Error(`sequence ${sequence} holds blocks already`);
    // What follows a prompt's last token, and every token after it, is computed by the step that chooses the next.
    const findable = Math.min(promptLength < tokens.length ? tokens.length - 1 : tokens.length, findableTokens);
    const found = this.#find(tokens.subarray(0, findable), promptLength, scope);
    const wanted = this.#blocksFor(Math.min(tokens.length + 1, tokensMax)) - found.length;
    const idleFound = found.reduce((count, { block }) => count + (this.#references[block] === 0 ? 1 : 0), 0);
    if (wanted + this.#blocksFor(spareTokens) > this.#free.size + this.#idle.size - idleFound) return undefined;
    const blocks = found.map(({ block }) => block);
    for (const block of blocks) this.#hold(block);
    this.#extend(blocks, wanted);
    this.#holdings.set(sequence, { scope, promptLength, blocks, sealed: found.length, last: found.at(-1), isShareable: true });
    this.#queryTokens += tokens.length;
    this.#hitTokens += found.length * this.#blockTokens;
    return found.length * this.#blockTokens;
  }

  /** Makes the sequence's blocks hold `length` tokens; false, and nothing has changed, when there is no room. */
  reserve(sequence: string, length: number): boolean {
    const { blocks } = this.#holding(sequence);
    const wanted = this.#blocksFor(length) - blocks.length;
    if (wanted > this.#free.size + this.#idle.size) return false;
    this.#extend(blocks, wanted);
    return true;
  }

  /** Takes back what `reserve` gave beyond the first `blockCount` blocks. */
  shrink(sequence: string, blockCount: number): void {
    const { blocks } = this.#holding(sequence);
    while (blocks.length > blockCount) this.#letGo(blocks.pop() as number);
  }

  /**
   * Says that the first `computed` of the sequence's tokens are in its blocks: full ones are made known. Where another
   * sequence has made the same known before, this one takes that block and gives its own back: true when that happened.
   */
  commit(sequence: string, tokens: Int32Array, computed: number): boolean {
    const holding = this.#holding(sequence);
    let hasChanged = false;
    for (; (holding.sealed + 1) * this.#blockTokens <= computed; holding.sealed += 1) {
      if (holding.isShareable) hasChanged = this.#publish(holding, tokens) || hasChanged;
    }
    return hasChanged;
  }

  /**
   * Takes the known blocks that go on from the first `computed` of the sequence's tokens, all of them committed, in place of own ones that
   * nothing was written to. Returns how many tokens from the front need not be computed now.
   */
  catchUp(sequence: string, tokens: Int32Array, computed: number): number {
    const holding = this.#holding(sequence);
    const before = holding.sealed;
    if (!holding.isShareable || before * this.#blockTokens !== computed) return computed;
    for (; (holding.sealed + 1) * this.#blockTokens <= tokens.length; holding.sealed += 1) {
      const known = this.#known(
        this.#contentOf(tokens, holding.sealed * this.#blockTokens, holding.promptLength, holding.scope, holding.last),
      );
      if (!known) break;
      this.#replace(holding, known);
    }
    this.#hitTokens += (holding.sealed - before) * this.#blockTokens;
    return holding.sealed * this.#blockTokens;
  }

  /**
   * A second sequence with the same first `length` tokens, all of them committed: it shares the full blocks, and gets a copy
   * of the one that is filled in part, which both will write to. `undefined` when there is no room, and then nothing has changed.
   */
  fork(parent: string, child: string, length: number): { readonly copy: BlockCopy | undefined } | undefined {
    const holding = this.#holding(parent);
    const full = Math.floor(length / this.#blockTokens);
    const wanted = this.#blocksFor(length + 1) - full;
    if (wanted > this.#free.size + this.#idle.size) return undefined;
    const blocks = holding.blocks.slice(0, full);
    for (const block of blocks) this.#hold(block);
    this.#extend(blocks, wanted);
    let { last } = holding;
    for (let sealed = holding.sealed; holding.isShareable && sealed > full; sealed -= 1) last = last?.parent;
    this.#holdings.set(child, { ...holding, blocks, sealed: full, last });
    this.#queryTokens += length;
    this.#hitTokens += length;
    if (length % this.#blockTokens === 0) return { copy: undefined };
    return { copy: { from: holding.blocks[full] as number, to: blocks[full] as number } };
  }

  /**
   * Takes blocks at these places, ascending, out of the sequence. Those behind the first of them are about to be changed, and stand
   * for other tokens than their chain says: what others hold is copied, and what others may find, too, where memory is
   * free; else it is not found any more. Returns the copies to make, in this order; `undefined` when there is no room, and
   * then nothing has changed.
   */
  drop(sequence: string, places: readonly number[]): readonly PlaceCopy[] | undefined {
    const holding = this.#holding(sequence);
    const first = places[0] as number;
    const gone = new Set(places);
    const old = holding.blocks.slice(first);
    const staying = old.map((block, index) => ({ block, from: first + index })).filter(({ from }) => !gone.has(from));
    let room = this.#free.size + this.#idle.size - staying.filter(({ block }) => (this.#references[block] as number) > 1).length;
    if (room < 0) return undefined;
    holding.blocks.length = first;
    const copies: PlaceCopy[] = [];
    const kept = new Set<number>();
    for (const { block, from } of staying) {
      const isShared = (this.#references[block] as number) > 1;
      const isCopied = isShared || (this.#contents[block] !== undefined && room > 0);
      if (isCopied && !isShared) room -= 1;
      if (isCopied) copies.push({ from, to: holding.blocks.length });
      else this.#forget(block);
      if (!isCopied) kept.add(block);
      holding.blocks.push(isCopied ? this.#allocate(holding.blocks.at(-1)) : block);
    }
    for (const block of old.toReversed()) if (!kept.has(block)) this.#letGo(block);
    holding.sealed = Math.min(holding.sealed, first);
    holding.isShareable = false;
    return copies;
  }

  /** Lets go of the sequence's blocks. Unknown sequences are ignored. */
  release(sequence: string): void {
    const holding = this.#holdings.get(sequence);
    if (!holding) return;
    this.#holdings.delete(sequence);
    for (const block of holding.blocks.toReversed()) this.#letGo(block);
  }

  /** The known blocks that the tokens begin with. */
  #find(tokens: Int32Array, promptLength: number, scope: string): readonly Content[] {
    const found: Content[] = [];
    for (let from = 0; from + this.#blockTokens <= tokens.length; from += this.#blockTokens) {
      const known = this.#known(this.#contentOf(tokens, from, promptLength, scope, found.at(-1)));
      if (!known) break;
      found.push(known);
    }
    return found;
  }

  #known(wanted: Omit<Content, 'block'>): Content | undefined {
    const content = this.#index.get(wanted.hash);
    return content && isSame(content, wanted) ? content : undefined;
  }

  /** The first block that is not sealed gives way to the known one. */
  #replace(holding: Holding, known: Content): void {
    const own = holding.blocks[holding.sealed] as number;
    this.#hold(known.block);
    holding.blocks[holding.sealed] = known.block;
    holding.last = known;
    this.#letGo(own);
  }

  #contentOf(tokens: Int32Array, from: number, promptLength: number, scope: string, parent: Content | undefined): Omit<Content, 'block'> {
    const to = from + this.#blockTokens;
    const promptTokens = Math.max(0, Math.min(promptLength, to) - from);
    const chain = parent?.hash ?? hashScope(scope);
    const hash = this.#hash(chain + this.#blockTokens - promptTokens, tokens, from, to);
    return { hash, scope, parent, tokens: tokens.subarray(from, to), promptTokens };
  }

  /** Makes the first block known that is not. True when another block took its place. */
  #publish(holding: Holding, tokens: Int32Array): boolean {
    const own = holding.blocks[holding.sealed] as number;
    const wanted = this.#contentOf(tokens, holding.sealed * this.#blockTokens, holding.promptLength, holding.scope, holding.last);
    const known = this.#known(wanted);
    if (known) {
      this.#replace(holding, known);
      return true;
    }
    if (this.#index.has(wanted.hash)) {
      holding.isShareable = false;
      return false;
    }
    const content = { ...wanted, block: own, tokens: wanted.tokens.slice() };
    this.#index.set(content.hash, content);
    this.#contents[own] = content;
    holding.last = content;
    return false;
  }

  #extend(blocks: number[], count: number): void {
    for (let index = 0; index < count; index += 1) blocks.push(this.#allocate(blocks.at(-1)));
  }

  #allocate(previous: number | undefined): number {
    const block = this.#free.take((previous ?? -1) + 1) ?? this.#evict();
    this.#references[block] = 1;
    return block;
  }

  #evict(): number {
    const [block] = this.#idle;
    if (block === undefined) throw new Error('a block was allocated without room for it');
    this.#idle.delete(block);
    this.#forget(block);
    return block;
  }

  /** Nobody finds it any more. */
  #forget(block: number): void {
    const content = this.#contents[block];
    if (!content) return;
    this.#index.delete(content.hash);
    this.#contents[block] = undefined;
  }

  #hold(block: number): void {
    if (this.#references[block] === 0) this.#idle.delete(block);
    this.#references[block] = (this.#references[block] as number) + 1;
  }

  #letGo(block: number): void {
    const left = (this.#references[block] as number) - 1;
    this.#references[block] = left;
    if (left > 0) return;
    if (this.#contents[block]) this.#idle.add(block);
    else this.#free.give(block);
  }

  #holding(sequence: string): Holding {
    const holding = this.#holdings.get(sequence);
    if (!holding) throw new Error(`sequence ${sequence} holds no blocks`);
    return holding;
  }

  #blocksFor(tokens: number): number {
    return Math.ceil(tokens / this.#blockTokens);
  }
}

/** Equal hashes are not enough: an answer must never rest on another's tokens. */
function isSame(known: Content, wanted: Omit<Content, 'block'>): boolean {
  if (known.scope !== wanted.scope || known.parent !== wanted.parent || known.promptTokens !== wanted.promptTokens) return false;
  return known.tokens.every((token, index) => token === wanted.tokens[index]);
}
