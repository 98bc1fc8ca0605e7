import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Arrangement } from '../../src/kv-cache/kv-cache.ts';
import { SlotTable } from '../../src/kv-cache/slot-table.ts';

const maxSequences = 5;

/** A table over a toy cache whose slots hold the name of the sequence whose rows they contain. */
function createTable() {
  const contents = new Array<string | undefined>(maxSequences + 1).fill(undefined);
  const table = new SlotTable(maxSequences, (from, to) => {
    contents[to] = contents[from];
    return true;
  });
  return { table, contents };
}

function orderOf(arranged: Arrangement): readonly string[] {
  if (arranged.kind === 'refused') throw new Error(`${arranged.sequence} was not moved`);
  return arranged.order;
}

describe('SlotTable', () => {
  it('refuses more sequences than it was made for', () => {
    const { table } = createTable();
    for (let index = 0; index < maxSequences; index += 1) expect(table.acquire(`s${index}`)).toBe(true);
    expect(table.acquire('one more')).toBe(false);
    table.release('s2');
    expect(table.acquire('one more')).toBe(true);
  });

  it('keeps every sequence with its rows, and puts those asked for in front', () => {
    const action = fc.oneof(
      fc.record({ kind: fc.constant('acquire' as const) }),
      fc.record({ kind: fc.constant('release' as const), pick: fc.nat() }),
      fc.record({
        kind: fc.constant('arrange' as const),
        chosen: fc.array(fc.boolean(), { minLength: maxSequences, maxLength: maxSequences }),
      }),
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60, size: 'max' }), (actions) => {
        const { table, contents } = createTable();
        const held: string[] = [];
        let count = 0;
        for (const step of actions) {
          if (step.kind === 'acquire') {
            const name = `s${(count += 1)}`;
            if (table.acquire(name)) {
              contents[table.slotOf(name)] = name;
              held.push(name);
            }
          } else if (step.kind === 'release' && held.length > 0) {
            table.release(held.splice(step.pick % held.length, 1)[0] as string);
          } else if (step.kind === 'arrange') {
            const chosen = held.filter((_, index) => step.chosen[index]);
            const order = orderOf(table.arrange(chosen, () => 1));
            expect(order.toSorted()).toEqual(chosen.toSorted());
            expect(order.map((name) => table.slotOf(name))).toEqual(order.map((_, slot) => slot));
          }
          for (const name of held) expect(contents[table.slotOf(name)]).toBe(name);
        }
      }),
    );
  });

  it('moves one aside that is in front of a free place', () => {
    const { table } = createTable();
    for (const name of ['reads its prompt', 'left', 'b', 'c', 'd']) table.acquire(name);
    table.release('left');
    table.acquire('e');
    table.arrange(['e', 'b', 'c', 'd'], () => 1);
    table.release('e');
    expect(orderOf(table.arrange(['b', 'c'], () => 1)).toSorted()).toEqual(['b', 'c']);
    expect(new Set(['reads its prompt', 'b', 'c', 'd'].map((name) => table.slotOf(name))).size).toBe(4);
  });

  it('moves nothing when those asked for are in front already', () => {
    let moves = 0;
    const table = new SlotTable(3, () => {
      moves += 1;
      return true;
    });
    for (const name of ['a', 'b', 'c']) table.acquire(name);
    table.arrange(['b', 'a'], () => 1);
    expect(moves).toBe(0);
  });

  it('says whose move was refused, and leaves every sequence in a slot of its own', () => {
    for (const refused of ['a', 'c', 'd']) {
      const table = new SlotTable(4, (_, __, ___, sequence) => sequence !== refused);
      for (const name of ['a', 'b', 'c', 'd']) table.acquire(name);
      const left = ['c', 'd'];
      const arranged = table.arrange(left, () => 1);
      expect(arranged).toEqual({ kind: 'refused', sequence: refused });
      expect(new Set(['a', 'b', 'c', 'd'].map((name) => table.slotOf(name))).size).toBe(4);
      table.release(refused);
      const others = left.filter((name) => name !== refused);
      expect(orderOf(table.arrange(others, () => 1)).toSorted()).toEqual(others);
    }
  });
});
