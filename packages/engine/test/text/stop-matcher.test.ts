import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createStopMatcher } from '../../src/text/stop-matcher.ts';
import { cut } from './cut.ts';

/** What the whole text gives: everything before the stop string that begins first. */
function oracle(text: string, stops: readonly string[]): string {
  const starts = stops
    .filter((stop) => stop !== '')
    .map((stop) => text.indexOf(stop))
    .filter((start) => start !== -1);
  return starts.length === 0 ? text : text.slice(0, Math.min(...starts));
}

/** What comes out in the end, and after each piece. */
function feed(pieces: readonly string[], stops: readonly string[]) {
  const matcher = createStopMatcher(stops);
  const results = pieces.map((piece) => matcher.push(piece));
  const text = results.map((result) => result.text).join('') + matcher.flush().text;
  return { text, results, stopped: results.at(-1)?.stopped ?? false };
}

const fewLetters = fc.string({ unit: fc.constantFrom('a', 'b', '中', '🚗'), maxLength: 30 });
const anyText = fc.oneof(fewLetters, fc.string({ unit: 'binary', maxLength: 30 }));
const stopsOf = (unit: fc.Arbitrary<string>) => fc.array(fc.string({ unit, maxLength: 5 }), { maxLength: 16 });
const anyStops = fc.oneof(stopsOf(fc.constantFrom('a', 'b', '中', '🚗')), stopsOf(fc.constantFrom('a', '\n')));
const cuts = fc.array(fc.nat(), { maxLength: 12 });

describe('against the whole text', () => {
  test('any cutting gives the text before the stop string that begins first', () => {
    fc.assert(
      fc.property(anyText, anyStops, cuts, (text, stops, places) => {
        expect(feed(cut(text, places), stops).text).toBe(oracle(text, stops));
      }),
      { numRuns: 2000 },
    );
  });

  test('stop strings cut out of the text itself are found wherever they lie', () => {
    const stop = fc.tuple(fc.nat(), fc.nat({ max: 6 }));
    fc.assert(
      fc.property(fewLetters, fc.array(stop, { maxLength: 4 }), cuts, (text, spans, places) => {
        const stops = spans.map(([start, length]) => text.slice(start % (text.length + 1)).slice(0, length));
        expect(feed(cut(text, places), stops).text).toBe(oracle(text, stops));
      }),
      { numRuns: 2000 },
    );
  });

  test('it stops only for a stop string that is there, and then for good', () => {
    fc.assert(
      fc.property(fewLetters, anyStops, cuts, (text, stops, places) => {
        const { results } = feed(cut(text, places), stops);
        const first = results.findIndex((result) => result.stopped);
        if (first === -1) return;
        expect(oracle(text, stops)).not.toBe(text);
        expect(results.slice(first + 1).every((result) => result.stopped && result.text === '')).toBe(true);
      }),
    );
  });

  test('what is held back is shorter than the longest stop string and a beginning of one', () => {
    fc.assert(
      fc.property(fewLetters, anyStops, cuts, (text, stops, places) => {
        const pieces = cut(text, places);
        const { results } = feed(pieces, stops);
        for (const [index, result] of results.entries()) {
          if (result.stopped) return;
          const given = pieces.slice(0, index + 1).join('');
          const released = results
            .slice(0, index + 1)
            .map((part) => part.text)
            .join('');
          const held = given.slice(released.length);
          expect(held === '' || stops.some((stop) => stop.length > held.length && stop.startsWith(held))).toBe(true);
        }
      }),
    );
  });
});

test('a stop string is dropped with all that follows', () => {
  expect(feed(['你好', '。\nUs', 'er: 再见', '！'], ['\nUser:'])).toMatchObject({ text: '你好。', stopped: true });
});

test('text that only begins like a stop string is released as soon as it differs, or at the end', () => {
  const matcher = createStopMatcher(['</s>']);
  expect(matcher.push('1 <')).toEqual({ text: '1 ', stopped: false });
  expect(matcher.push(' 2 </')).toEqual({ text: '< 2 ', stopped: false });
  expect(matcher.flush()).toEqual({ text: '</', stopped: false });
});

test('after a flush nothing is remembered', () => {
  const matcher = createStopMatcher(['ab']);
  matcher.push('xa');
  matcher.flush();
  expect(matcher.push('b')).toEqual({ text: 'b', stopped: false });
});

test('a stop string inside a longer one waits for it, and counts when it does not come', () => {
  const stops = ['</answer>', 'answer'];
  expect(feed(['好</answer', '>'], stops)).toMatchObject({ text: '好', stopped: true });
  expect(feed(['好</answer', '?'], stops)).toMatchObject({ text: '好</', stopped: true });
  expect(feed(['好</answer'], stops)).toMatchObject({ text: '好</', stopped: false });
});

test('without stop strings, or with empty ones, text passes as it comes', () => {
  for (const stops of [[], [''], ['', '']]) expect(feed(['a', '', '\n'], stops).results.map(({ text }) => text)).toEqual(['a', '', '\n']);
});

test('a long repetitive stop string costs no more than its text', () => {
  const stop = `${'a'.repeat(20_000)}b`;
  const text = 'a'.repeat(200_000);
  expect(feed([text, 'b'], [stop])).toMatchObject({ text: 'a'.repeat(180_000), stopped: true });
});
