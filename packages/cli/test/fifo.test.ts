import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Fifo } from '../src/fifo.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

describe('Fifo', () => {
  it('is an array whose shift costs nothing', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -1500, max: 1500 }), { maxLength: 8 }), (moves) => {
        const fifo = new Fifo<number>();
        const model: number[] = [];
        let next = 0;
        for (const count of moves) {
          for (let move = 0; move < count; move += 1) {
            fifo.push(next);
            model.push(next);
            next += 1;
          }
          const taken = Array.from({ length: Math.max(0, -count) }, () => fifo.shift());
          const expected = [...model.splice(0, taken.length), ...new Array<undefined>(taken.length)].slice(0, taken.length);
          expect(taken).toEqual(expected);
          expect([fifo.length, fifo.first]).toEqual([model.length, model[0]]);
        }
      }),
    );
  });

  it('holds nothing of what has gone', async () => {
    const fifo = new Fifo<object>();
    const watched = Array.from({ length: 100 }, () => {
      const item = {};
      fifo.push(item);
      return new WeakRef(item);
    });
    for (let gone = 0; gone < 99; gone += 1) fifo.shift();
    // What a WeakRef was made of stays until the task has ended.
    await new Promise(setImmediate);
    collect();
    expect(watched.filter((ref) => ref.deref() !== undefined)).toHaveLength(1);
    fifo.clear();
    expect([fifo.length, fifo.first]).toEqual([0, undefined]);
  });
});
