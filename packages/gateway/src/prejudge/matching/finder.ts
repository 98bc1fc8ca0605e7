import { RE2JS } from 're2js';
import type { Find, View } from '../rule-file.ts';
import { AhoCorasick } from './aho-corasick.ts';
import { fold, isNoLetter, lettersOf } from './folding.ts';
import { requiredLiterals } from './required-literals.ts';

/** What a rule looks for, and in which messages, as bits. */
export interface Search {
  readonly rule: number;
  readonly find: Find;
  readonly roleMask: number;
}

/** A message's text. */
export interface SearchedText {
  readonly text: string;
  readonly roleMask: number;
  /** Its place in the request. */
  readonly index: number;
}

/** Where each rule's `find` was met first, by rule: the index of a text; -1: nowhere. */
export type Found = Int32Array;

/** Instructions of a compiled pattern: what a search costs for each character at the very worst. */
const programSizeMax = 1000;
/** Patterns without any text that all their matches contain; they are tried on every message. */
const alwaysTriedMax = 32;
/** Letters of a message that must be a literal as a whole, blanks and punctuation between them included. */
const wholeLengthMax = 4096;

/** Throws what is wrong with a literal or a pattern of a rule. */
type Refuse = (rule: number, key: readonly (string | number)[], reason: string) => never;

interface Pattern {
  readonly search: Search;
  readonly expression: RE2JS;
}

/** A text of a group of which every match contains one: the pattern's index, and the group's bit. */
interface PatternGroup {
  readonly pattern: number;
  readonly bit: number;
}

/**
 * All that rules look for in one view of a text. Literals, and texts that patterns cannot do without, are found in one pass;
 * only patterns for which one was found are then tried, by an engine that never goes back.
 */
class ViewFinder {
  readonly #view: View;
  readonly #literals = new Map<string, Search[]>();
  readonly #whole = new Map<string, Search[]>();
  readonly #groups = new Map<string, PatternGroup[]>();
  readonly #alwaysTried: Pattern[] = [];
  /** Those with groups, and each one's groups as bits. */
  readonly #patterns: Pattern[] = [];
  readonly #allGroups: number[] = [];
  #automaton: AhoCorasick | undefined;
  /** By word: the literals that it is. */
  #literalsOf: readonly (readonly Search[])[] = [];
  /**
   * By word w: the groups that it is in, `#groupsOf[w]` to `#groupsOf[w + 1]`, each a pattern and a bit. Flat: a prompt has hundreds of
   * them, and none is in a cache by itself.
   */
  #groupsOf = new Int32Array(1);
  #groupPattern = new Int32Array();
  #groupBit = new Uint8Array();
  /** By pattern: the groups of which one was found in the text that is searched. */
  #foundGroups = new Uint8Array();

  constructor(view: View) {
    this.#view = view;
  }

  add(search: Search, refuse: Refuse): void {
    const { find, rule } = search;
    for (const [index, literal] of (find.literals ?? []).entries()) {
      const viewed = this.#ofLiteral(literal);
      if (viewed === '')
        refuse(
          rule,
          ['find', 'literals', index],
          `is ${JSON.stringify(literal)}, of which nothing is left ${this.#view === 'letters' ? 'without what is no letter' : 'when it is folded'}`,
        );
      push(find.whole ? this.#whole : this.#literals, viewed, search);
    }
    for (const [index, source] of (find.patterns ?? []).entries())
      this.#addPattern(search, source, (reason) => refuse(rule, ['find', 'patterns', index], reason));
  }

  #ofLiteral(literal: string): string {
    if (this.#view === 'text') return literal;
    return this.#view === 'folded' ? fold(literal) : lettersOf(fold(literal));
  }

  #addPattern(search: Search, source: string, refuse: (reason: string) => never): void {
    const isFolded = this.#view === 'folded';
    if (isFolded && source.normalize('NFKC') !== source)
      refuse(`would never match a folded text: write ${JSON.stringify(source.normalize('NFKC'))}, or choose on: text`);
    const expression = compile(source, isFolded, refuse);
    if (expression.programSize() > programSizeMax)
      refuse(`is compiled to ${expression.programSize()} instructions, more than ${programSizeMax}: it repeats too much`);
    if (!search.find.whole && expression.test('')) refuse('matches every text');
    const required = requiredLiterals(source, isFolded);
    if (required.length > 0) {
      for (const [index, group] of required.entries())
        for (const literal of group) push(this.#groups, literal, { pattern: this.#patterns.length, bit: 2 ** index });
      this.#patterns.push({ search, expression });
      this.#allGroups.push(2 ** required.length - 1);
      return;
    }
    this.#alwaysTried.push({ search, expression });
    if (this.#alwaysTried.length > alwaysTriedMax)
      refuse(
        `has no fixed text of two characters that all its matches contain, as ${alwaysTriedMax} others before it: such patterns are tried on every message`,
      );
  }

  /** In steps of about a millisecond, as the automaton is built. */
  *finish(): Generator<undefined, void> {
    const words = [...new Set([...this.#literals.keys(), ...this.#groups.keys()])];
    const groups = words.map((word) => this.#groups.get(word) ?? []);
    this.#literalsOf = words.map((word) => this.#literals.get(word) ?? []);
    this.#groupsOf = new Int32Array(words.length + 1);
    for (const [word, { length }] of groups.entries()) this.#groupsOf[word + 1] = (this.#groupsOf[word] as number) + length;
    this.#groupPattern = Int32Array.from(groups.flat(), ({ pattern }) => pattern);
    this.#groupBit = Uint8Array.from(groups.flat(), ({ bit }) => bit);
    this.#foundGroups = new Uint8Array(this.#patterns.length);
    this.#automaton = words.length > 0 ? yield* AhoCorasick.inSteps(words, this.#view === 'letters' ? isNoLetter : undefined) : undefined;
  }

  /** `viewed`: the text as this view compares it; for letters, the folded one. */
  search(searched: SearchedText, viewed: string, found: Found): void {
    const meet = ({ rule, roleMask }: Search) => {
      if ((roleMask & searched.roleMask) !== 0 && found[rule] === -1) found[rule] = searched.index;
    };
    const tryPattern = ({ search, expression }: Pattern) => {
      if ((search.roleMask & searched.roleMask) === 0 || found[search.rule] !== -1) return;
      if (search.find.whole ? expression.testExact(viewed) : expression.test(viewed)) meet(search);
    };
    const foundGroups = this.#foundGroups.fill(0);
    this.#automaton?.scan(viewed, (word) => {
      const literals = this.#literalsOf[word] as readonly Search[];
      for (let index = 0; index < literals.length; index += 1) meet(literals[index] as Search);
      const end = this.#groupsOf[word + 1] as number;
      for (let at = this.#groupsOf[word] as number; at < end; at += 1) {
        const pattern = this.#groupPattern[at] as number;
        const before = foundGroups[pattern] as number;
        const after = before | (this.#groupBit[at] as number);
        foundGroups[pattern] = after;
        if (before !== after && after === this.#allGroups[pattern]) tryPattern(this.#patterns[pattern] as Pattern);
      }
    });
    for (const pattern of this.#alwaysTried) tryPattern(pattern);
    if (this.#whole.size > 0 && viewed.length <= wholeLengthMax)
      for (const search of this.#whole.get(this.#view === 'letters' ? lettersOf(viewed) : viewed.trim()) ?? []) meet(search);
  }
}

/** Finds what all rules look for. */
export class Finder {
  readonly #views = new Map<View, ViewFinder>();

  add(search: Search, refuse: Refuse): void {
    const view = search.find.on ?? 'folded';
    const finder = this.#views.get(view) ?? new ViewFinder(view);
    this.#views.set(view, finder);
    finder.add(search, refuse);
  }

  /** Once, after all were added; in steps, between which others may have a turn. */
  *finish(): Generator<undefined, void> {
    for (const finder of this.#views.values()) yield* finder.finish();
  }

  search(searched: SearchedText, found: Found): void {
    let folded: string | undefined;
    for (const [view, finder] of this.#views)
      finder.search(searched, view === 'text' ? searched.text : (folded ??= fold(searched.text)), found);
  }
}

function compile(source: string, isFolded: boolean, refuse: (reason: string) => never): RE2JS {
  try {
    return RE2JS.compile(source, RE2JS.DOTALL | (isFolded ? RE2JS.CASE_INSENSITIVE : 0));
  } catch (error) {
    return refuse(`is no pattern in RE2's syntax: ${(error as Error).message}`);
  }
}

function push<T>(lists: Map<string, T[]>, key: string, value: T): void {
  const list = lists.get(key);
  if (list) list.push(value);
  else lists.set(key, [value]);
}
