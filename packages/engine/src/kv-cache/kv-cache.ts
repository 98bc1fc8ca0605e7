import type { Pointer } from '../ggml/bindings.ts';
import type { KvRowLayout } from './row-layout.ts';

/**
 * Tokens of a block, and what the rows of a slot are a multiple of. It is the scheduler's `chunkGranularity`: a prompt that is found in
 * part is cut there.
 */
export const blockTokens = 64;

/** Tokens, counted: gauges of this moment, and counters since the start. */
export interface KvUsage {
  /** That the cache can hold. */
  readonly capacityTokens: number;
  /** In memory that sequences hold; what they share counts once. */
  readonly usedTokens: number;
  /** In memory that no sequence holds, kept for prompts that begin alike. */
  readonly cachedTokens: number;
  /** Of sequences that were given a place, and those of them whose keys and values were there. */
  readonly queryTokens: number;
  readonly hitTokens: number;
}

/** A sequence that wants a place. */
export interface PlaceRequest {
  readonly sequence: string;
  /** All that it has so far: its prompt, and what it generated before it lost its place. */
  readonly tokens: Int32Array;
  readonly promptLength: number;
  /** Only sequences of the same scope share. */
  readonly scope: string;
  /** Room for so many tokens must remain for others. */
  readonly spareTokens: number;
  /** Of a sequence that drops tokens: the most that it holds at once. */
  readonly tokensMax?: number | undefined;
  /** Of such a one: how many from the front may be found; those after them it computes without what it has dropped. */
  readonly findableTokens?: number | undefined;
}

/**
 * `dropped`: it is done. `short`: there is no memory to copy what others share, and nothing has changed. `lost`: the system
 * refused memory on the way, and the sequence holds no place any more.
 */
export type DropOutcome = 'dropped' | 'short' | 'lost';

/**
 * `arranged`: in slot order. `refused`: the system had no memory to move this sequence, whose rows cannot be read where they are: it is
 * to be suspended or released before anything else. All others are in one slot each.
 */
export type Arrangement =
  | { readonly kind: 'arranged'; readonly order: readonly string[] }
  | { readonly kind: 'refused'; readonly sequence: string };

/**
 * Where sequences' keys and values lie, and how the runner's graphs address them: a slot of the same size for each, in
 * one tensor a layer. `kv-cache.contract.ts` in the tests says what every implementation does. Offsets and strides in bytes.
 */
export interface KvCache extends KvRowLayout {
  readonly strategy: 'paged' | 'static';
  /** A tensor for each layer: rows of [keys | values], one row a token. */
  readonly layers: readonly Pointer[];
  readonly rowCount: number;
  readonly slotRows: number;
  readonly slotBytes: number;
  /** The first of 64 rows that nobody reads: for tokens that are computed only because others need their company. */
  readonly scratchRow: number;
  /** Sequences that can hold a place at once. */
  readonly capacity: number;
  /** Tokens that a sequence may hold when it is alone. */
  readonly maxSequenceTokens: number;
  readonly usage: KvUsage;
  /** Bytes of physical memory that tokens were ever written to. */
  readonly committedBytes: number;
  /**
   * Gives a sequence a place for its tokens and the one that follows. Returns how many tokens from the front, a multiple
   * of 64, have their keys and values there already; `undefined` when there is no place, and then nothing has changed.
   */
  acquire(request: PlaceRequest): number | undefined;
  /**
   * Gives `child` a place with the first `length` tokens of `parent`, all of them committed, without computing them.
   * False when it cannot, and then nothing has changed.
   */
  fork(parent: string, child: string, length: number): boolean;
  /** Makes the sequence's place hold `length` tokens; false, and nothing has changed, when there is no memory for them. */
  reserve(sequence: string, length: number): boolean;
  /**
   * Takes blocks out of the middle of a sequence, whose `rows` rows, a multiple of 64, are written; `places`, ascending, are not the
   * last. The rows behind them move up unchanged: their keys still stand for their old places. Nobody else's rows change, and what the
   * sequence holds behind the first of these places is not found by others any more, nor are tokens it computes later.
   */
  drop(sequence: string, places: readonly number[], rows: number): DropOutcome;
  /**
   * Says that the keys and values of the first `computed` of the sequence's prompt are written, and will stay as they are. False: the
   * system had no memory to show what it shares from now on, and its rows cannot be read: it is to be suspended or released before
   * anything else.
   */
  commit(sequence: string, tokens: Int32Array, computed: number): boolean;
  /**
   * Takes over what others have committed of `tokens`, which the sequence has computed and committed the first `computed` of. Returns
   * how many from the front have their keys and values there now; `undefined` as `commit` says false.
   */
  catchUp(sequence: string, tokens: Int32Array, computed: number): number | undefined;
  /** Takes a sequence's place away for a while: what it has computed, generated tokens too, is kept for it until the memory is wanted. */
  suspend(sequence: string, tokens: Int32Array, computed: number): void;
  /** Takes a sequence's place away. False: it has none. */
  release(sequence: string): boolean;
  slotOf(sequence: string): number;
  /**
   * Moves sequences so that those given hold slots 0 … n − 1: a batch then reads one strided view of the cache. At most two
   * moves for one that left.
   */
  arrange(sequences: readonly string[], lengthOf: (sequence: string) => number): Arrangement;
  /**
   * Makes the first `rows` rows of a slot hold numbers. Attention masks what is not written yet, but a NaN would
   * survive the mask. Called before each run; cheap when nothing is to be done.
   */
  makeReadable(slot: number, rows: number): void;
  close(): void;
}
