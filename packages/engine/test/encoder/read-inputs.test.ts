import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readInputs } from '../../src/encoder/read-inputs.ts';

const contextLength = 100;

/** A token for each letter, none for white space, and one before and one after each text. */
function counting() {
  const counted = {
    characters: 0,
    vocabulary: {
      size: 70_000,
      tokenizeWhole(text: string) {
        counted.characters += text.length;
        return [1, ...Array.from(text.replaceAll(/\s/g, ''), (letter) => letter.charCodeAt(0)), 2];
      },
    },
  };
  return counted;
}
const read = (text: string, truncate: boolean, { vocabulary } = counting()) =>
  readInputs({ inputs: [text], truncate }, { vocabulary, contextLength })[0] as readonly number[];

describe('a text for an embedding', () => {
  it('has the tokens of the whole text where they fit, and otherwise their beginning and what ends every text', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom('a', 'b', ' '), fc.integer({ min: 1, max: 400 })), { maxLength: 12 }), (runs) => {
        const text = runs.map(([of, count]) => of.repeat(count)).join('');
        const whole = counting().vocabulary.tokenizeWhole(text);
        expect(read(text, true)).toEqual(whole.length <= contextLength ? whole : [...whole.slice(0, contextLength - 1), 2]);
        if (whole.length <= contextLength) expect(read(text, false)).toEqual(whole);
        else expect(() => read(text, false)).toThrow(expect.objectContaining({ code: 'context_length_exceeded', param: 'input' }));
      }),
    );
  });

  it.each([
    ['letters', 'ab'],
    ['words far apart', `a${' '.repeat(30)}`],
    ['white space', ' '],
  ])('is not read beyond what may fit of it, however long it is: %s', (_, piece) => {
    const text = piece.repeat(10_000_000 / piece.length);
    for (const truncate of [true, false]) {
      const counted = counting();
      const reading = () => read(text, truncate, counted);
      if (truncate) expect(reading().length).toBeLessThanOrEqual(contextLength);
      else expect(reading).toThrow(expect.objectContaining({ code: 'context_length_exceeded', param: 'input' }));
      expect(counted.characters).toBeLessThan(100_000);
    }
  });
});
