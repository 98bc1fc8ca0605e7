import { blockTokens } from '../kv-cache/kv-cache.ts';
import type { ContextBounds } from './bounds.ts';

/** Blocks that went when so many tokens had been computed. */
interface Drop {
  readonly computed: number;
  /** Among the blocks that were kept then, ascending. */
  readonly places: readonly number[];
}

/**
 * Which of a sequence's tokens have a row in the cache. Rows have no gaps, and a token's position is its row, so positions
 * stay within what the model was trained for (StreamingLLM's positions in the cache, Xiao et al. 2024).
 *
 * What goes, and when, depends on the sequence alone: prompts are dropped from at one block below the bound, whatever
 * pieces they are read in, and answers at the bound. A sequence that lost its place drops the same blocks again at the same
 * tokens: keys and values of what remains then come out as they were, because they depend on what was seen before them.
 */
export class KeptContext {
  readonly bounds: ContextBounds | undefined;
  readonly #promptLength: number;
  readonly #tokensMax: number;
  /** In the order of time. */
  #drops: Drop[] = [];
  #applied = 0;
  /** Blocks of the sequence, by place, as they were kept after the last drop. */
  #kept: readonly number[] = [];
  #droppedBlocks = 0;

  constructor(bounds: ContextBounds | undefined, promptLength: number) {
    this.bounds = bounds;
    this.#promptLength = promptLength;
    this.#tokensMax = bounds?.tokensMax ?? Infinity;
  }

  get droppedTokens(): number {
    return this.#droppedBlocks * blockTokens;
  }

  /** Of the sequence's first `length` tokens, how many have a row. */
  rows(length: number): number {
    return length - this.droppedTokens;
  }

  /** Rows that `length` tokens want in the end, as far as they may have them. */
  rowsWanted(length: number): number {
    return Math.min(this.rows(length), this.#tokensMax);
  }

  /** Whether rows for the first `length` tokens are within the bound. */
  hasRoomFor(length: number): boolean {
    return this.rows(length) <= this.#tokensMax;
  }

  /** Tokens from the start that are computed before anything is dropped: what others have computed of them may be used. */
  get wholeTokens(): number {
    return this.#promptLength >= this.#tokensMax ? this.#tokensMax - blockTokens : this.#tokensMax;
  }

  /** Prompt tokens that may be read before something must go. */
  promptRoom(computed: number): number {
    const left = this.#promptLength - computed;
    // A rest shorter than a block is read in one piece with what stands before it, or fits.
    return left < blockTokens ? left : this.#tokensMax - blockTokens - this.rows(computed);
  }

  /** Whether blocks must go before the next token is computed. */
  isFull(computed: number): boolean {
    return computed < this.#promptLength ? this.promptRoom(computed) <= 0 : this.rows(computed) >= this.#tokensMax;
  }

  /** The blocks that go after `computed` tokens: those that went before where it is done again. */
  placesToDrop(computed: number, choose: () => readonly number[]): readonly number[] {
    const known = this.#drops[this.#applied];
    if (known) return known.places;
    const places = choose();
    this.#drops.push({ computed, places });
    return places;
  }

  /** The chosen blocks have gone. */
  advance(): void {
    const { computed, places } = this.#drops[this.#applied] as Drop;
    const gone = new Set(places);
    const before = Array.from({ length: this.rows(computed) / blockTokens }, (_, place) => this.blockAt(place));
    this.#kept = before.filter((_, place) => !gone.has(place));
    this.#droppedBlocks += places.length;
    this.#applied += 1;
  }

  /** Which block of the sequence's tokens is kept at this place. */
  blockAt(place: number): number {
    return this.#kept[place] ?? place + this.#droppedBlocks;
  }

  /** Nothing is in the cache any more. */
  restart(): void {
    this.#applied = 0;
    this.#droppedBlocks = 0;
    this.#kept = [];
  }

  /** It goes on from where another sequence with the same prompt and bounds is. */
  continueFrom(other: KeptContext): void {
    this.#drops = [...other.#drops];
    this.#applied = other.#applied;
    this.#kept = other.#kept;
    this.#droppedBlocks = other.#droppedBlocks;
  }
}

/** How far the rows that stay must turn back, from the first dropped place on: minus the tokens that went before each. */
export function turnsAfter(places: readonly number[], rows: number): Int32Array {
  const first = (places[0] as number) * blockTokens;
  const gone = new Set(places);
  const turns = new Int32Array(rows - places.length * blockTokens - first);
  let at = 0;
  let dropped = 0;
  for (let place = places[0] as number; place < rows / blockTokens; place += 1) {
    if (gone.has(place)) {
      dropped += blockTokens;
      continue;
    }
    turns.fill(-dropped, at, at + blockTokens);
    at += blockTokens;
  }
  return turns;
}
