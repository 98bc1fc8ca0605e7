import type { Terminal } from '../grammar.ts';
import { beginCharacter, continueCharacter, mayBecome, type PartialCharacter } from './json-character.ts';

/** A deterministic automaton over code points. Every state leads to an accepting one. */
export interface CharacterAutomaton {
  readonly start: number;
  /** The state after a code point; undefined for none. */
  next(state: number, character: number): number | undefined;
  /** Whether any code point from `low` to `high` leads on. */
  takes(state: number, low: number, high: number): boolean;
  accepts(state: number): boolean;
}

interface Inside {
  /** Characters read, where it matters how many. */
  readonly length: number;
  readonly automaton: number;
  readonly part: PartialCharacter | undefined;
}

type StringState = 'before' | 'after' | Inside;

const quote = 0x22;

/**
 * A JSON string of `min` to `max` characters, counted in code points. `max` may be infinite. Lengths and an automaton do not go together.
 */
export function jsonString(min: number, max: number, automaton: CharacterAutomaton = anyCharacters): Terminal<StringState> {
  const first: Inside = { length: 0, automaton: automaton.start, part: undefined };
  const isWhole = ({ length, automaton: state, part }: Inside) => part === undefined && length >= min && automaton.accepts(state);
  const hasRoom = (length: number) => length < max;

  const whole = (from: Inside, character: number): Inside | undefined => {
    const state = automaton.next(from.automaton, character);
    if (state === undefined) return undefined;
    // Where the length no longer matters, the state of a string does not change with it.
    const length = max === Infinity ? Math.min(from.length + 1, min) : from.length + 1;
    if (state === from.automaton && length === from.length && from.part === undefined) return from;
    return { length, automaton: state, part: undefined };
  };
  const inside = (from: Inside, byte: number): Inside | undefined => {
    const step = from.part ? continueCharacter(from.part, byte) : hasRoom(from.length) ? beginCharacter(byte) : undefined;
    if (step === undefined) return undefined;
    if (typeof step === 'number') return isSurrogate(step) ? undefined : whole(from, step);
    return mayBecome(step, (low, high) => automaton.takes(from.automaton, low, high)) ? { ...from, part: step } : undefined;
  };

  return {
    kind: 'terminal',
    start: 'before',
    step(state, byte) {
      if (state === 'before') return byte === quote ? first : undefined;
      if (state === 'after') return undefined;
      if (byte === quote && state.part === undefined) return isWhole(state) ? 'after' : undefined;
      return inside(state, byte);
    },
    isComplete: (state) => state === 'after',
    canGoOn: (state) => state !== 'after',
    freeCharacters(state) {
      if (automaton !== anyCharacters || state === 'before' || state === 'after' || state.part !== undefined) return 0;
      return max - state.length;
    },
  };
}

function isSurrogate(character: number): boolean {
  return character >= 0xd800 && character <= 0xdfff;
}

const anyCharacters: CharacterAutomaton = { start: 0, next: () => 0, takes: () => true, accepts: () => true };
