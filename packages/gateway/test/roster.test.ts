import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Roster, type Listed } from '../src/common/roster.ts';

test('a roster holds what a set would', () => {
  const step = fc.record({ isAdded: fc.boolean(), who: fc.nat(7) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const everybody = Array.from({ length: 8 }, (): Listed => ({ place: -1 }));
      const roster = new Roster<Listed>();
      const set = new Set<Listed>();
      for (const { isAdded, who } of steps) {
        const one = everybody[who] as Listed;
        // Nobody joins twice: whoever is here already leaves first.
        expect(roster.delete(one)).toBe(set.delete(one));
        if (isAdded) {
          roster.add(one);
          set.add(one);
        }
        expect(roster.size).toBe(set.size);
        expect(new Set(roster)).toEqual(set);
      }
    }),
  );
});

test('whoever leaves while a roster is read does not keep another from being read', () => {
  const roster = new Roster<Listed>();
  for (let count = 0; count < 5; count += 1) roster.add({ place: -1 });
  let read = 0;
  for (const one of roster) {
    roster.delete(one);
    read += 1;
  }
  expect({ read, left: roster.size }).toEqual({ read: 5, left: 0 });
});

test('whoever has left an old roster is freed by minor collections', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as (options?: { readonly type: 'minor' }) => void;
  const oldBytes = () => getHeapSpaceStatistics().find(({ space_name: name }) => name === 'old_space')?.space_used_size ?? 0;
  const make = () => ({ place: -1, bytes: new Array<number>(1000).fill(0) });
  const roster = new Roster<Listed>();
  const here = Array.from({ length: 16 }, make);
  for (const one of here) roster.add(one);
  collect();
  const before = oldBytes();
  const count = 4000;
  for (let index = 0; index < count; index += 1) {
    const place = index % here.length;
    roster.delete(here[place] as Listed);
    here[place] = make();
    roster.add(here[place]);
    if (index % 500 === 499) collect({ type: 'minor' });
  }
  // All of them are 32 MB at least.
  expect(oldBytes() - before).toBeLessThan(4 * 1024 * 1024);
  expect(roster.size).toBe(here.length);
});
