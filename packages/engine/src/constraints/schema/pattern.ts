import { RegExpParser, type AST } from '@eslint-community/regexpp';
import { DFA, JS, NFA, TooManyNodesError, type ReadonlyDFA } from 'refa';
import type { CharacterAutomaton } from '../terminals/json-string.ts';
import { schemaError, schemaLimits, type SchemaContext } from './context.ts';

/**
 * The strings in which a regular expression is found, of a length, as an automaton. Look-around, word boundaries and references to
 * groups have none of a bounded size, and are refused.
 */
export function patternAutomaton(
  context: SchemaContext,
  pattern: string,
  [min, max]: readonly [number, number],
  path: string,
): CharacterAutomaton {
  if (pattern.length > schemaLimits.patternLength) throw schemaError(path, `must have at most ${schemaLimits.patternLength} characters`);
  if (min > schemaLimits.patternedLength || (max !== Infinity && max > schemaLimits.patternedLength)) {
    throw schemaError(path, `cannot stand beside a length above ${schemaLimits.patternedLength}`);
  }
  const matching = build(wholeText(pattern, path), path);
  const hasLength = min > 0 || max !== Infinity;
  const dfa = hasLength ? intersect(matching, build(`[^]{${min},${max === Infinity ? '' : max}}`, path), path) : matching;
  const automaton = tabulate(dfa, path);
  context.spend('allPatternStates', automaton.size, path);
  return automaton;
}

/** An expression for the whole text: what may stand around a match becomes part of it, and anchors go. */
function wholeText(pattern: string, path: string): string {
  let parsed: AST.Pattern;
  try {
    parsed = new RegExpParser().parsePattern(pattern, 0, pattern.length, { unicode: true });
  } catch (error) {
    throw schemaError(path, `is not a regular expression (${(error as Error).message})`);
  }
  return parsed.alternatives
    .map(({ elements }) => {
      const isStart = isAnchor(elements[0], 'start');
      const isEnd = isAnchor(elements.at(-1), 'end');
      const inner = elements
        .slice(isStart ? 1 : 0, isEnd ? -1 : undefined)
        .map(({ raw }) => raw)
        .join('');
      return `${isStart ? '' : '[^]*'}(?:${inner})${isEnd ? '' : '[^]*'}`;
    })
    .join('|');
}

function isAnchor(element: AST.Element | undefined, kind: 'start' | 'end'): boolean {
  return element?.type === 'Assertion' && element.kind === kind;
}

function build(source: string, path: string): DFA {
  return guard(path, () => {
    const { expression, maxCharacter } = JS.Parser.fromLiteral({ source, flags: 'u' }).parse({
      assertions: 'throw',
      backreferences: 'throw',
    });
    const nfa = NFA.fromRegex(expression, { maxCharacter }, {}, new NFA.LimitedNodeFactory(schemaLimits.patternStates));
    return DFA.fromFA(nfa, new DFA.LimitedNodeFactory(schemaLimits.patternStates));
  });
}

function intersect(a: ReadonlyDFA, b: ReadonlyDFA, path: string): DFA {
  return guard(path, () => DFA.fromIntersection(a, b, new DFA.LimitedNodeFactory(schemaLimits.patternStates)));
}

function guard(path: string, make: () => DFA): DFA {
  try {
    return make();
  } catch (error) {
    if (error instanceof TooManyNodesError) throw schemaError(path, 'is too complex: its automaton has too many states');
    throw schemaError(path, `is not supported (${(error as Error).message})`);
  }
}

interface Transition {
  readonly low: number;
  readonly high: number;
  readonly target: number;
}

/** Keeps the states that lead to an accepting one, and their transitions in order. Throws when there are none. */
function tabulate(dfa: DFA, path: string): CharacterAutomaton & { readonly size: number } {
  const nodes = [...dfa.nodes()];
  const index = new Map(nodes.map((node, place) => [node, place]));
  const all = nodes.map(({ out }) =>
    [...out].map(([{ min, max }, target]): Transition => ({ low: min, high: max, target: index.get(target) as number })),
  );
  const useful = leadingTo(
    all,
    nodes.flatMap((node, place) => (dfa.finals.has(node) ? [place] : [])),
  );
  if (!useful.has(0)) throw schemaError(path, 'has no string that it would match, or none of the length asked for');
  const table = all.map((transitions) => transitions.filter(({ target }) => useful.has(target)).toSorted((a, b) => a.low - b.low));
  const finals = nodes.map((node) => dfa.finals.has(node));
  /** The first transition whose range ends at a character or behind it. */
  const find = (state: number, character: number) => (table[state] as Transition[]).find(({ high }) => high >= character);
  return {
    size: nodes.length,
    start: 0,
    next(state, character) {
      const found = find(state, character);
      return found && found.low <= character ? found.target : undefined;
    },
    takes: (state, low, high) => (find(state, low)?.low ?? Infinity) <= high,
    accepts: (state) => finals[state] as boolean,
  };
}

function leadingTo(table: readonly (readonly Transition[])[], finals: readonly number[]): ReadonlySet<number> {
  const before = table.map((): number[] => []);
  for (const [from, transitions] of table.entries()) for (const { target } of transitions) before[target]?.push(from);
  const found = new Set(finals);
  const pending = [...finals];
  for (let state = pending.pop(); state !== undefined; state = pending.pop()) {
    for (const from of before[state] as number[]) {
      if (found.has(from)) continue;
      found.add(from);
      pending.push(from);
    }
  }
  return found;
}
