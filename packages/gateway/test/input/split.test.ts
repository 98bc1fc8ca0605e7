import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { splitText, textOf } from '../../src/input/text/split.ts';

const graphemes = new Intl.Segmenter('und', { granularity: 'grapheme' });
/** What is hard to cut: characters of several code points, fences, sentences of both kinds, line breaks of both kinds. */
const morsel = fc.oneof(
  fc.constantFrom(
    '👩‍👩‍👧‍👦',
    '🇨🇳',
    '👍🏽',
    'e\u0301',
    '\u0301',
    '\u200d',
    '한',
    '\r\n',
    '\n',
    '\n\n',
    '\r',
    ' ',
    '```',
    '```ts\n',
    '\n```\n',
    '~~~~\n',
    '。',
    '. ',
    '? ',
    '！',
    '，',
    '"',
    '”',
    'नमस्ते ',
    '\ud83d',
  ),
  fc.string({ unit: 'grapheme', maxLength: 8 }),
  fc.string({ unit: 'binary', maxLength: 4 }),
  fc.constantFrom(
    '春天的早晨，街角的面包店六点钟就开门了。',
    'The kettle boils at 100 degrees, or so they say. ',
    'x'.repeat(400),
    '字'.repeat(400),
    '👩‍👩‍👧‍👦'.repeat(60),
    'e' + '\u0301'.repeat(700),
  ),
);
const text = fc.array(morsel, { maxLength: 24 }).map((parts) => parts.join(''));

describe('splitText', () => {
  it('leaves nothing out, and cuts no character', () => {
    fc.assert(
      fc.property(text, (value) => {
        const pieces = splitText(value);
        expect(pieces.map((piece) => textOf(value, piece)).join('')).toBe(value);
        expect(pieces.every(({ start, end }) => end > start)).toBe(true);
        const borders = new Set([...graphemes.segment(value)].map(({ index }) => index));
        expect(pieces.filter(({ start }) => !borders.has(start))).toEqual([]);
      }),
      { numRuns: 600 },
    );
  });

  it('is linear in what a client may send against it', () => {
    for (const unit of ['.', '!"', '。', '…', '"']) expect(splitText(unit.repeat(1_000_000)).at(-1)?.end).toBe(unit.length * 1_000_000);
  });

  it('keeps a fenced block whole, however long, closed or not', () => {
    const code = '```ts\n' + 'const a = 1. \n\n'.repeat(100) + '```\n';
    const kinds = (value: string) => splitText(value).map((piece) => [piece.isCode, textOf(value, piece)] as const);
    expect(kinds(`Before.\n${code}After.\n`)).toEqual([
      [false, 'Before.\n'],
      [true, code],
      [false, 'After.\n'],
    ]);
    expect(kinds('~~~\na\n```\nb')).toEqual([[true, '~~~\na\n```\nb']]);
    expect(kinds('````\n```\n````\nc')).toEqual([
      [true, '````\n```\n````\n'],
      [false, 'c'],
    ]);
  });

  it('cuts long lines after sentences, with and without spaces', () => {
    const texts = (value: string) => splitText(value).map((piece) => textOf(value, piece));
    expect(
      texts(
        'It was 3.5 km to the station, and nobody was there to take them home. "Why?" she asked, and looked at him for a long time without a word. He said that the train had left at noon.',
      ),
    ).toEqual([
      'It was 3.5 km to the station, and nobody was there to take them home. ',
      '"Why?" ',
      'she asked, and looked at him for a long time without a word. ',
      'He said that the train had left at noon.',
    ]);
    const chinese = '春天的早晨，街角的面包店六点钟就开门了。'.repeat(10);
    expect(texts(chinese)).toHaveLength(10);
  });
});
