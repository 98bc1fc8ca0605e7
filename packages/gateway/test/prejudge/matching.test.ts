import fc from 'fast-check';
import { RE2JS } from 're2js';
import { describe, expect, it } from 'vitest';
import { AhoCorasick } from '../../src/prejudge/matching/aho-corasick.ts';
import { fold, lettersOf } from '../../src/prejudge/matching/folding.ts';
import { requiredLiterals } from '../../src/prejudge/matching/required-literals.ts';

const few = (units: string) => fc.string({ unit: fc.constantFrom(...units), maxLength: 12 });

describe('AhoCorasick', () => {
  it('finds exactly the words that occur', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(
          few('ab咒').filter((word) => word !== ''),
          { minLength: 1, maxLength: 30 },
        ),
        fc.array(few('abc咒x'), { maxLength: 8 }),
        (words, pieces) => {
          const automaton = AhoCorasick.of(words);
          for (const text of [pieces.join(''), pieces.toReversed().join('b')]) {
            const found: number[] = [];
            automaton.scan(text, (word) => found.push(word));
            expect(found.toSorted((a, b) => a - b)).toEqual([...words.keys()].filter((index) => text.includes(words[index] as string)));
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it('finds them where the table of transitions has no room for most states', () => {
    const words = Array.from(
      { length: 3000 },
      (_, index) => `${String.fromCodePoint(0x4e00 + index)}x${index}abc${String.fromCodePoint(0x4e00 + index + 1)}`,
    );
    const automaton = AhoCorasick.of(words);
    const found = new Set<number>();
    automaton.scan(words.slice(0, 2999).join(''), (word) => found.add(word));
    expect(found.size).toBe(2999);
  });

  it('passes over characters that count as not there', () => {
    const skip = new Uint8Array(0x1_0000);
    skip['-'.charCodeAt(0)] = 1;
    const found: number[] = [];
    AhoCorasick.of(['忽略指令'], skip).scan('请忽-略--指-令', (word) => found.push(word));
    expect(found).toEqual([0]);
  });
});

describe('fold', () => {
  it('makes widths, case, invisible characters and strokes through letters not count', () => {
    expect(fold('ＩＧＮＯＲＥ　Ａｌｌ')).toBe('ignore all');
    expect(fold('ig\u200bno\u00adre')).toBe('ignore');
    expect(fold('i\u0336g\u0336n')).toBe('ign');
    expect(fold('ﬁle\u2002\n\tname')).toBe('file name');
    expect(fold('a\u{e0041}b')).toBe('ab');
    expect(lettersOf(fold('忽·略 以-上。指 令'))).toBe('忽略以上指令');
  });

  it('changes nothing that was folded before', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
        expect(fold(fold(text))).toBe(fold(text));
      }),
      { numRuns: 2000 },
    );
  });
});

describe('requiredLiterals', () => {
  it.each([
    ['ignore (?:all )?previous', [['previous'], ['ignore ']]],
    ['(?:忽略|无视)之前', [['忽略', '无视'], ['之前']]],
    ['a(?:bc)+d', [['bc']]],
    ['AKIA[0-9A-Z]{16}', [['AKIA']]],
    ['x{0,3}yz|ab', [['yz', 'ab']]],
    ['\\bsk-[a-z]+', [['sk-']]],
    ['[ab]+\\d', []],
    ['(?i)secret', []],
    ['a?b*', []],
    ['\\x{41}bc', []],
  ])('%s', (pattern, expected) => expect(requiredLiterals(pattern, false)).toEqual(expected));

  /** Patterns of the syntax's plain part, and of what it must not misread. */
  const { pattern } = fc.letrec<{ pattern: string; item: string; atom: string }>((tie) => ({
    atom: fc.oneof(
      { withCrossShrink: true, maxDepth: 3 },
      fc.constantFrom(
        'a',
        'b',
        'ab',
        '咒语',
        'K',
        '.',
        '\\d',
        '\\.',
        '\\b',
        '^',
        '$',
        '[ab]',
        '[^a]',
        '[]a]',
        '[[:alpha:]]',
        '\\pL',
        '\\x61',
        'é',
      ),
      tie('pattern').map((inner) => `(?:${inner})`),
      tie('pattern').map((inner) => `(${inner})`),
    ),
    item: fc
      .tuple(tie('atom'), fc.constantFrom('', '', '', '*', '+', '?', '{2}', '{0,2}', '{1,}', '+?', '*?'))
      .map(([atom, repeat]) =>
        repeat !== '' && ['\\b', '^', '$'].includes(atom)
          ? atom
          : atom + (atom.length > 1 && !/^[[(\\]/.test(atom) && repeat !== '' ? '' : repeat),
      ),
    pattern: fc.array(fc.oneof(tie('item'), fc.constant('|')), { minLength: 1, maxLength: 5 }).map((items) => items.join('')),
  }));

  it.each([[false], [true]])('every match contains one of each group; folded: %s', (isFolded) => {
    let matched = 0;
    fc.assert(
      fc.property(
        pattern,
        fc.array(fc.constantFrom('a', 'b', 'ab', '咒语', 'k', 'K', '.', '1', 'é', ' '), { maxLength: 10 }),
        (source, pieces) => {
          let expression: RE2JS;
          try {
            expression = RE2JS.compile(source, RE2JS.DOTALL | (isFolded ? RE2JS.CASE_INSENSITIVE : 0));
          } catch {
            return;
          }
          const text = isFolded ? fold(pieces.join('')) : pieces.join('');
          if (!expression.test(text)) return;
          matched += 1;
          for (const group of requiredLiterals(source, isFolded))
            expect(
              group.some((literal) => text.includes(literal)),
              `${source} ${JSON.stringify(group)}`,
            ).toBe(true);
        },
      ),
      { numRuns: 3000 },
    );
    expect(matched).toBeGreaterThan(500);
  });
});
