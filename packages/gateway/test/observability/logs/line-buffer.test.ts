import fc from 'fast-check';
import { expect, it } from 'vitest';
import { LineBuffer } from '../../../src/observability/logs/line-buffer.ts';

/** Short lines, and some that are longer than a chunk. */
const line = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 50 }),
  fc.integer({ min: 1, max: 90_000 }).map((length) => '长'.repeat(length)),
);
const lengthMax = 300_000;

it('gives back what it took, whole and in order, and never holds more than its bound', () => {
  const steps = fc.array(
    fc.oneof(
      { weight: 4, arbitrary: line.map((text) => ({ push: `${text.toWellFormed()}\n` })) },
      { weight: 1, arbitrary: fc.constant('shift' as const) },
      { weight: 1, arbitrary: fc.constant('clear' as const) },
    ),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(steps, (sequence) => {
      const buffer = new LineBuffer(lengthMax);
      let waiting: string[] = [];
      for (const step of sequence) {
        const bytes = waiting.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
        expect(buffer.length).toBe(bytes);
        if (step === 'clear') {
          expect(buffer.clear()).toBe(waiting.length);
          waiting = [];
        } else if (step === 'shift') {
          const chunk = buffer.shift();
          if (!chunk) {
            expect(waiting).toEqual([]);
            continue;
          }
          expect(chunk.bytes.toString('utf8', 0, chunk.length)).toBe(waiting.splice(0, chunk.lineCount).join(''));
          buffer.recycle(chunk.bytes.buffer);
        } else {
          const fits = bytes + Buffer.byteLength(step.push) <= lengthMax;
          expect(buffer.push(step.push)).toBe(fits);
          if (fits) waiting.push(step.push);
        }
      }
    }),
    { numRuns: 200 },
  );
});
