import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Roster, type Listed } from '../src/common/roster.ts';

test('a roster holds what a set would', () => {
  const step = fc.record({ isAdded: fc.boolean(), who: fc.nat(7) });
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const everybody = Array.from({ length: 8 }, (): Listed => ({ place: -1 }));
    const roster = new Roster<Listed>();
    const set = new Set<Listed>();
    for (const { isAdded, who } of steps) {
      const one = everybody[who] as Listed;
      // Nobody joins twice: whoever is here already leaves first.
      roster.delete(one);
      set.delete(one);
      if (isAdded) {
        roster.add(one);
        set.add(one);
      }
      expect(roster.size).toBe(set.size);
      expect(new Set(roster)).toEqual(set);
      for (const member of roster) expect(set.has(member)).toBe(true);
    }
  }));
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
