import type { Vocabulary } from '../ggml/vocabulary.ts';
import type { Terminal } from './grammar.ts';
import type { State } from './matcher.ts';

/** What is needed of a vocabulary. */
export type TokenTexts = Pick<Vocabulary, 'size' | 'bytes' | 'endsGeneration'>;

/** Steps of single ways through the grammar that one mask may cost: a tenth of a second or two for grammars made to be slow. */
const workMax = 1_000_000;

/** Tokens in the order of their bytes, so that what begins alike is tried once. */
interface SortedTokens {
  readonly ids: Int32Array;
  /** How many bytes each has in common with the one before. */
  readonly shared: Int32Array;
}

/** A vocabulary's tokens as a grammar sees them. Made once for each vocabulary. */
export class TokenTable {
  readonly #texts: TokenTexts;
  /** All that stand for bytes. */
  readonly #all: SortedTokens;
  /** Those of whole characters that a JSON string takes as they are, and how many characters each has. */
  readonly #plain: Int32Array;
  readonly #plainLengths: Int32Array;
  /** All that are not plain. */
  readonly #others: SortedTokens;
  /** Tokens that end an answer. */
  readonly ends: readonly number[];
  /** Whether each byte that a text may have is a token of its own: then no text can come to where no token fits. */
  readonly writesEveryText: boolean;

  constructor(texts: TokenTexts) {
    this.#texts = texts;
    const ids = Array.from({ length: texts.size }, (_, id) => id);
    const keys = ids.map((id) => Buffer.from(texts.bytes(id)).toString('latin1'));
    const lengths = ids.map((id) => plainLength(texts.bytes(id)));
    this.#all = sort(
      ids.filter((id) => keys[id] !== ''),
      keys,
    );
    this.#plain = Int32Array.from(ids.filter((id) => lengths[id] !== undefined));
    this.#plainLengths = this.#plain.map((id) => lengths[id] as number);
    this.#others = sort(
      ids.filter((id) => keys[id] !== '' && lengths[id] === undefined),
      keys,
    );
    this.ends = ids.filter((id) => texts.endsGeneration(id));
    const single = new Set(keys.filter((bytes) => bytes.length === 1));
    this.writesEveryText = textBytes.every((byte) => single.has(String.fromCharCode(byte)));
  }

  /** The state after a token; undefined where the grammar does not allow it. Tokens that stand for no bytes are never allowed. */
  after(state: State, token: number): State | undefined {
    const bytes = this.#texts.bytes(token);
    if (bytes.length === 0) return undefined;
    let current: State | undefined = state;
    for (let place = 0; current && place < bytes.length; place += 1) current = current.after(bytes[place] as number);
    return current;
  }

  /**
   * Copies into `target`, which is all −∞, the logits of the tokens that may follow. Inside a string most tokens can, and need not be
   * tried. Where it takes too long some are left out, never all: a token of one byte is tried before those that go on from it.
   */
  copyAllowed(state: State, logits: Float32Array, target: Float32Array): void {
    const free = freeCharacters(state);
    if (free > 0) this.#copyPlain(free, logits, target);
    const isComplete = free === Infinity || (free > 0 && state.frames.length === 1);
    this.#copyTried(state, isComplete ? this.#others : this.#all, logits, target);
  }

  #copyPlain(lengthMax: number, logits: Float32Array, target: Float32Array): void {
    for (let place = 0; place < this.#plain.length; place += 1) {
      if ((this.#plainLengths[place] as number) > lengthMax) continue;
      const token = this.#plain[place] as number;
      target[token] = logits[token] as number;
    }
  }

  #copyTried(state: State, { ids, shared }: SortedTokens, logits: Float32Array, target: Float32Array): void {
    const path: State[] = [state];
    // Bytes of the last token tried that were read before one was refused.
    let readable = 0;
    let work = 0;
    for (let place = 0; place < ids.length && work < workMax; place += 1) {
      const common = shared[place] as number;
      if (common > readable) continue;
      const token = ids[place] as number;
      const bytes = this.#texts.bytes(token);
      readable = common;
      let current: State | undefined = path[readable];
      while (current && readable < bytes.length) {
        work += current.frames.length;
        current = current.after(bytes[readable] as number);
        if (current) path[(readable += 1)] = current;
      }
      if (current) target[token] = logits[token] as number;
    }
  }
}

/** How many plain characters one of the state's terminals takes, whatever they are. */
function freeCharacters(state: State): number {
  return state.frames.reduce((most, frame) => Math.max(most, (frame.node as Terminal).freeCharacters?.(frame.state) ?? 0), 0);
}

/** The number of characters of a text that a JSON string takes as they are; undefined for other texts. */
function plainLength(bytes: Uint8Array): number | undefined {
  if (bytes.length === 0 || bytes.some((byte) => byte < 0x20 || byte === 0x22 || byte === 0x5c)) return undefined;
  try {
    return [...strictUtf8.decode(bytes)].length;
  } catch {
    return undefined;
  }
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function sort(ids: readonly number[], keys: readonly string[]): SortedTokens {
  const sorted = Int32Array.from(ids).sort((a, b) => compare(keys[a] as string, keys[b] as string));
  const shared = sorted.map((id, place) =>
    place === 0 ? 0 : sharedLength(keys[sorted[place - 1] as number] as string, keys[id] as string),
  );
  return { ids: sorted, shared };
}

/** What UTF-8 is made of, and white space. */
const textBytes = [0x09, 0x0a, ...range(0x20, 0x7f), ...range(0x80, 0xc0), ...range(0xc2, 0xf5)];

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function sharedLength(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length += 1;
  return length;
}
