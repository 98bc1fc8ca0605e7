import type { Members, Node, Terminal } from './grammar.ts';
import { opening } from './terminals/punctuation.ts';

/** Where among an object's members the text is. */
export interface MembersState {
  /** What comes next: a member or the end (`start`, `member`), a key, its value. */
  readonly phase: 'start' | 'key' | 'value' | 'member';
  /** The first property that may still come: they keep their order, and optional ones may be left out. */
  readonly next: number;
  readonly count: number;
  /** Keys that are not properties, as they were written. No key comes twice. */
  readonly used: UsedKey | undefined;
  /** The value that the key just read asks for. */
  readonly value: Node | undefined;
}

interface UsedKey {
  readonly key: string;
  readonly before: UsedKey | undefined;
}

/** Bytes of a key so far, one a character, with the quotes. */
type KeyState = string;

export const beforeMembers: MembersState = { phase: 'start', next: 0, count: 0, used: undefined, value: undefined };
export const comma = opening(',');
export const colon = opening(':');

/** Bytes of a key that is not a property's. */
const additionalKeyMax = 64;
/**
 * Such a key so far, closed or not: whole characters, none of them escaped. It may have begun as a property's, which ends inside a
 * character or an escape anywhere.
 */
const additionalKey = /^"[ !#-[\]-\x7f]*"?$/;

/** What the members of one object may be; made once for each node. */
export class MembersPlan {
  readonly #node: Members;
  /** Texts of the properties' keys with their quotes, as bytes, sorted, and which property each is. */
  readonly #keys: readonly { readonly text: string; readonly index: number }[];
  readonly #declared: ReadonlyMap<string, number>;
  /** By property: how many required ones come from there on, and which is the first. */
  readonly #requiredFrom: readonly number[];
  readonly #firstRequired: readonly number[];

  constructor(node: Members) {
    this.#node = node;
    const { properties } = node;
    this.#keys = properties.map(({ name }, index) => ({ text: keyText(name), index })).toSorted((a, b) => (a.text < b.text ? -1 : 1));
    this.#declared = new Map(this.#keys.map(({ text, index }) => [text, index]));
    const requiredFrom = Array.from({ length: properties.length + 1 }, () => 0);
    const firstRequired = Array.from({ length: properties.length + 1 }, () => properties.length);
    for (let index = properties.length - 1; index >= 0; index -= 1) {
      const isRequired = properties[index]?.isRequired ?? false;
      requiredFrom[index] = (requiredFrom[index + 1] as number) + (isRequired ? 1 : 0);
      firstRequired[index] = isRequired ? index : (firstRequired[index + 1] as number);
    }
    this.#requiredFrom = requiredFrom;
    this.#firstRequired = firstRequired;
  }

  canEnd({ next, count }: MembersState): boolean {
    return this.#requiredFrom[next] === 0 && count >= this.#node.min;
  }

  canHaveMore(state: MembersState): boolean {
    if (this.#canBeAdditional(state)) return true;
    for (let index = state.next; index <= this.#lastOpen(state.next); index += 1) if (this.#canBe(state, index)) return true;
    return false;
  }

  /** Reads the next key. */
  keyReader(state: MembersState): Terminal<KeyState> {
    return {
      kind: 'terminal',
      start: '',
      step: (text, byte) => {
        if (this.#isClosed(text)) return undefined;
        const longer = text + String.fromCharCode(byte);
        return this.#beginsProperty(state, longer) || this.#beginsAdditional(state, longer) ? longer : undefined;
      },
      isComplete: (text) => this.#isClosed(text),
      canGoOn: (text) => !this.#isClosed(text),
    };
  }

  /** The state after a key. */
  afterKey(state: MembersState, text: KeyState): MembersState {
    const index = this.#declared.get(text);
    const count = state.count + 1;
    if (index === undefined)
      return { phase: 'value', next: state.next, count, used: { key: text, before: state.used }, value: this.#node.additional };
    return { phase: 'value', next: index + 1, count, used: state.used, value: this.#node.properties[index]?.value };
  }

  /** The last property that may come at this place: none is left out that is required. */
  #lastOpen(next: number): number {
    return Math.min(this.#firstRequired[next] as number, this.#node.properties.length - 1);
  }

  /** Whether enough members can follow this property, and not too many must. */
  #canBe({ count }: MembersState, index: number): boolean {
    const { min, max, properties, additional } = this.#node;
    if (count + 1 + (this.#requiredFrom[index + 1] as number) > max) return false;
    return additional !== undefined || count + 1 + (properties.length - index - 1) >= min;
  }

  /** They come after all required ones. */
  #canBeAdditional({ next, count }: MembersState): boolean {
    return this.#node.additional !== undefined && this.#requiredFrom[next] === 0 && count < this.#node.max;
  }

  #beginsProperty(state: MembersState, text: KeyState): boolean {
    const last = this.#lastOpen(state.next);
    // No byte's character is as great as this one.
    const end = this.#firstKeyFrom(`${text}\u0100`);
    for (let place = this.#firstKeyFrom(text); place < end; place += 1) {
      const { index } = this.#keys[place] as { index: number };
      if (index >= state.next && index <= last && this.#canBe(state, index)) return true;
    }
    return false;
  }

  #firstKeyFrom(text: KeyState): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#keys[middle] as { text: string }).text < text) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /**
   * Such keys have ASCII without escapes, so that two texts of one key are equal. One that would be a property's or a used one's cannot end
   * there; at the greatest length only those are taken that can end.
   */
  #beginsAdditional(state: MembersState, text: KeyState): boolean {
    if (!this.#canBeAdditional(state) || !additionalKey.test(text)) return false;
    if (text.length === 1) return true;
    if (this.#isClosed(text)) return text.length > 2 && this.#isFree(state, text);
    if (text.length > additionalKeyMax) return false;
    return text.length < additionalKeyMax || this.#isFree(state, `${text}"`);
  }

  #isClosed(text: KeyState): boolean {
    return this.#declared.has(text) || (text.length > 1 && text.endsWith('"') && !text.includes('\\'));
  }

  #isFree({ used }: MembersState, text: KeyState): boolean {
    for (let entry = used; entry; entry = entry.before) if (entry.key === text) return false;
    return !this.#declared.has(text);
  }
}

/** A property's key as JSON writes it, a character for each byte. */
function keyText(name: string): string {
  return Buffer.from(JSON.stringify(name), 'utf8').toString('latin1');
}
