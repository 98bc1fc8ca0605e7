/**
 * What every match of a pattern contains, as groups of texts: one of each group. A text that lacks a whole group need not be searched with
 * the pattern at all, and the texts of all patterns are looked for at once (the idea of RE2's FilteredRE2). Understands the plain
 * part of RE2's syntax; of all else it says nothing, and such a pattern is tried every time.
 */

type Group = readonly string[];

/** What is known of a part of a pattern: what it matches where that is one text; else the groups that its match contains. */
interface Known {
  readonly exact?: string;
  readonly groups?: readonly Group[];
}

const nothing: Known = {};
const alternativesMax = 64;
const groupsMax = 8;
const repeatsNothing = /^(?:[*?]|\{0(?:,\d*)?\})\??/;
const repeatsSome = /^(?:\+|\{[1-9]\d*(?:,\d*)?\})\??/;
/** A class, whose first character may be `]`; one with named classes or ranges of them is passed over as a whole. */
const classPattern = /^\[\^?\]?(?:\[:\^?\w+:\]|\\[^xQ]|[^\]\\])*\]/u;

class Unreadable extends Error {}

/** At most 8 groups; none: nothing is known. `isFolded`: the pattern ignores case, and texts are lower-case. */
export function requiredLiterals(pattern: string, isFolded: boolean): readonly Group[] {
  const reader = new Reader(pattern, isFolded);
  try {
    const known = reader.readAlternatives();
    if (!reader.isAtEnd) return [];
    return groupsOf(known)
      .filter((group) => group.every(isLongEnough))
      .sort((a, b) => rarity(b) - rarity(a))
      .slice(0, groupsMax);
  } catch (error) {
    if (error instanceof Unreadable) return [];
    throw error;
  }
}

/** Two characters, or one that is rarer than a letter of an alphabet. */
function isLongEnough(literal: string): boolean {
  return literal.length >= 2 || literal >= firstRare;
}
const firstRare = '\u2e80';

function groupsOf({ exact, groups = [] }: Known): readonly Group[] {
  if (exact === undefined) return groups;
  return exact === '' ? [] : [[exact]];
}

/** Of the commonest text in the group: its letters, of which one of a large script says as much as three of an alphabet. */
function rarity(group: Group): number {
  return Math.min(...group.map((literal) => literal.length + 2 * [...literal].filter((character) => character >= firstRare).length));
}

class Reader {
  readonly #pattern: string;
  readonly #isFolded: boolean;
  #at = 0;

  constructor(pattern: string, isFolded: boolean) {
    this.#pattern = pattern;
    this.#isFolded = isFolded;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#pattern.length;
  }

  readAlternatives(): Known {
    const branches = [this.#readSequence()];
    while (this.#take('|')) branches.push(this.#readSequence());
    if (branches.length === 1) return branches[0] as Known;
    // One group of each branch makes a group: whichever branch it is, the match contains one of these.
    const best = branches.map((branch) => [...groupsOf(branch)].sort((a, b) => rarity(b) - rarity(a))[0]);
    const all = [...new Set(best.flatMap((group) => group ?? []))];
    return best.includes(undefined) || all.length > alternativesMax ? nothing : { groups: [all] };
  }

  /** Neighbours that match one text each join. */
  #readSequence(): Known {
    const groups: Group[] = [];
    let run = '';
    let isExact = true;
    const endRun = () => {
      if (run !== '') groups.push([run]);
      run = '';
    };
    while (!this.isAtEnd && this.#next !== '|' && this.#next !== ')') {
      const item = this.#readItem();
      if (item.exact !== undefined) {
        run += item.exact;
        continue;
      }
      isExact = false;
      endRun();
      groups.push(...groupsOf(item));
    }
    if (isExact) return { exact: run };
    endRun();
    return { groups };
  }

  #readItem(): Known {
    const atom = this.#readAtom();
    if (this.#match(repeatsNothing)) return this.#unlessRepeated(nothing);
    if (!this.#match(repeatsSome)) return atom;
    return this.#unlessRepeated({ groups: groupsOf(atom) });
  }

  #unlessRepeated(known: Known): Known {
    if (/^[*+?{]/.test(this.#rest)) throw new Unreadable();
    return known;
  }

  #readAtom(): Known {
    const [character = ''] = this.#rest;
    if (character === '(') return this.#readGroup();
    if (character === '[') {
      if (!this.#match(classPattern)) throw new Unreadable();
      return nothing;
    }
    if (character === '\\') return this.#readEscape();
    if (character === '{' || character === '*' || character === '+' || character === '?') throw new Unreadable();
    this.#at += character.length;
    if (character === '^' || character === '$') return { exact: '' };
    return character === '.' ? nothing : this.#literal(character);
  }

  #readGroup(): Known {
    if (!this.#match(/^\((?:\?:|\?P?<\w+>)?(?!\?)/)) throw new Unreadable();
    const known = this.readAlternatives();
    if (!this.#take(')')) throw new Unreadable();
    return known;
  }

  #readEscape(): Known {
    if (this.#match(/^\\[bBAz]/)) return { exact: '' };
    if (this.#match(/^\\(?:[dDsSwWtnrfv]|[pP](?:[A-Z]|\{\^?\w+\}))/)) return nothing;
    const [, escaped] = /^\\([^A-Za-z0-9])/u.exec(this.#rest) ?? [];
    if (escaped === undefined) throw new Unreadable();
    this.#at += 1 + escaped.length;
    return this.#literal(escaped);
  }

  /** Where case does not count only characters that have none, or ASCII's, of which it is sure what they are taken for. */
  #literal(character: string): Known {
    if (!this.#isFolded) return { exact: character };
    const lower = character.toLowerCase();
    const isPlain = character <= '\u007f' || lower === character.toUpperCase();
    return isPlain ? { exact: lower } : nothing;
  }

  get #rest(): string {
    return this.#pattern.slice(this.#at);
  }

  get #next(): string | undefined {
    return this.#pattern[this.#at];
  }

  #take(character: string): boolean {
    if (this.#next !== character) return false;
    this.#at += 1;
    return true;
  }

  #match(expression: RegExp): boolean {
    const [found] = expression.exec(this.#rest) ?? [];
    if (found === undefined) return false;
    this.#at += found.length;
    return true;
  }
}
