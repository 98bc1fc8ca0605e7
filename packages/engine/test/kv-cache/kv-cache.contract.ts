import koffi from 'koffi';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import type { KvCache } from '../../src/kv-cache/kv-cache.ts';

/** A cache for `sequences` sequences of 256 tokens; it has memory for all of them. */
export type OpenCache = (sequences: number) => KvCache;

const sequences = 4;
const contextLength = 256;

/** What every implementation of `KvCache` does. */
export function describeKvCache(name: string, open: OpenCache): void {
  describe(`${name} as a KvCache`, () => {
    let cache: KvCache | undefined;
    afterEach(() => {
      cache?.close();
      cache = undefined;
    });
    const opened = (): KvCache => (cache = open(sequences));
    const acquire = (from: KvCache, sequence: string, tokens: Int32Array, scope = '') =>
      from.acquire({ sequence, tokens, promptLength: tokens.length, scope, spareTokens: 0 });

    it('holds as many sequences as it says, and no more', () => {
      const holder = opened();
      expect(holder.capacity).toBe(sequences);
      expect(holder.maxSequenceTokens).toBe(contextLength);
      for (let index = 0; index < sequences; index += 1) expect(acquire(holder, `s${index}`, tokensOf(100, index))).toBe(0);
      expect(acquire(holder, 'one more', tokensOf(1, 9))).toBeUndefined();
      expect(holder.release('unknown')).toBe(false);
      expect(holder.release('s2')).toBe(true);
      expect(holder.release('s2')).toBe(false);
      expect(acquire(holder, 'one more', tokensOf(1, 9))).toBe(0);
      // It gave its place away before.
      holder.suspend('one more', tokensOf(1, 9), 1);
      expect(holder.release('one more')).toBe(false);
    });

    it('addresses slots of its layers’ tensors, and rows beyond them that nobody reads', () => {
      const { slotRows, slotBytes, rowBytes, scratchRow, rowCount, valueOffset, headBytes } = opened();
      expect(slotRows).toBe(contextLength);
      expect(slotBytes).toBe(slotRows * rowBytes);
      expect(scratchRow).toBeGreaterThanOrEqual(slotRows * (sequences + 1));
      expect(rowCount).toBe(scratchRow + 64);
      expect(valueOffset).toBeLessThan(rowBytes);
      expect(valueOffset % headBytes).toBe(0);
    });

    it('counts what is used', () => {
      const holder = opened();
      expect(holder.usage).toMatchObject({ usedTokens: 0, cachedTokens: 0, queryTokens: 0, hitTokens: 0 });
      acquire(holder, 'a', tokensOf(100, 1));
      const { usedTokens, queryTokens, capacityTokens } = holder.usage;
      expect(usedTokens).toBeGreaterThanOrEqual(100);
      expect(usedTokens).toBeLessThanOrEqual(128);
      expect(queryTokens).toBe(100);
      expect(capacityTokens).toBe(sequences * contextLength);
      holder.release('a');
      expect(holder.usage.usedTokens).toBe(0);
    });

    it('never says that less is there than was computed, nor what does not begin alike', () => {
      const holder = opened();
      for (const [sequence, seed] of [
        ['a', 1],
        ['b', 1],
        ['c', 2],
      ] as const)
        acquire(holder, sequence, tokensOf(100, seed));
      holder.commit('a', tokensOf(100, 1), 100);
      expect(holder.catchUp('a', tokensOf(100, 1), 100)).toBe(100);
      expect([0, 64]).toContain(holder.catchUp('b', tokensOf(100, 1), 0));
      expect(holder.catchUp('c', tokensOf(100, 2), 0)).toBe(0);
    });

    it('grows to the end of its slot', () => {
      const holder = opened();
      acquire(holder, 'a', tokensOf(10, 1));
      expect(holder.reserve('a', contextLength)).toBe(true);
      expect(() => holder.reserve('unknown', 1)).toThrow();
    });

    it('keeps every sequence its rows, whatever others do', () => {
      fc.assert(
        fc.property(fc.array(action, { maxLength: 40, size: 'max' }), (actions) => {
          const holder = open(sequences);
          const history = new History(holder);
          for (const step of actions) history.apply(step);
          history.releaseAll();
          expect(holder.usage.usedTokens).toBe(0);
          holder.close();
        }),
        { numRuns: 30 },
      );
    });
  });
}

function tokensOf(length: number, seed: number): Int32Array {
  return Int32Array.from({ length }, (_, index) => (index % 7) + seed);
}

const action = fc.oneof(
  fc.record({ kind: fc.constant('acquire' as const), length: fc.integer({ min: 1, max: 200 }), seed: fc.nat(1) }),
  fc.record({ kind: fc.constant('grow' as const), pick: fc.nat(), count: fc.integer({ min: 1, max: 90 }) }),
  fc.record({ kind: fc.constant('fork' as const), pick: fc.nat() }),
  fc.record({ kind: fc.constant('drop' as const), pick: fc.nat(), chosen: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }) }),
  fc.record({ kind: fc.constant('leave' as const), pick: fc.nat(), isForAWhile: fc.boolean() }),
  fc.record({ kind: fc.constant('arrange' as const), chosen: fc.array(fc.boolean(), { minLength: sequences, maxLength: sequences }) }),
);
type Action = typeof action extends fc.Arbitrary<infer A> ? A : never;

interface Held {
  readonly id: string;
  /** Rows that a fork may begin with. */
  promptLength: number;
  /** Of its rows, in their order. */
  readonly tokens: number[];
  /** What each row holds; in the last layer one more. */
  readonly values: number[];
}

/** Writes into the rows of the first and the last layer what names their token and those before it, and reads it again. */
class History {
  readonly #cache: KvCache;
  readonly #layers: readonly Int32Array[];
  #held: Held[] = [];
  #count = 0;

  constructor(cache: KvCache) {
    this.#cache = cache;
    const bytes = cache.rowCount * cache.rowBytes;
    this.#layers = [cache.layers[0], cache.layers.at(-1)].map((layer) => new Int32Array(koffi.view(dataOf(layer as bigint), bytes)));
  }

  apply(step: Action): void {
    if (step.kind === 'acquire') this.#acquire([...tokensOf(step.length, step.seed)]);
    else if (step.kind === 'arrange') this.#arrange(step.chosen);
    else {
      const sequence = this.#held[step.pick % this.#held.length];
      if (sequence) this.#change(sequence, step);
    }
    for (const held of this.#held) this.#check(held);
  }

  releaseAll(): void {
    for (const { id } of this.#held) this.#cache.release(id);
  }

  #acquire(tokens: number[]): void {
    const id = `s${(this.#count += 1)}`;
    const found = this.#cache.acquire({
      sequence: id,
      tokens: Int32Array.from(tokens),
      promptLength: tokens.length,
      scope: '',
      spareTokens: 0,
    });
    if (found === undefined) {
      expect(this.#held.length).toBe(this.#cache.capacity);
      return;
    }
    expect(found % 64).toBe(0);
    const held = { id, promptLength: tokens.length, tokens, values: [] };
    this.#write(held, found);
    expect(this.#cache.commit(id, Int32Array.from(tokens), tokens.length)).toBe(true);
    this.#held.push(held);
  }

  #change(sequence: Held, step: Exclude<Action, { kind: 'acquire' | 'arrange' }>): void {
    const { id, tokens, promptLength } = sequence;
    if (step.kind === 'grow') {
      const before = tokens.length;
      // Often to the end of a block, where blocks may be dropped.
      const length = Math.min(contextLength, step.count % 2 === 0 ? Math.ceil((before + step.count) / 64) * 64 : before + step.count);
      expect(this.#cache.reserve(id, length)).toBe(true);
      for (let index = before; index < length; index += 1) tokens.push(index + this.#count * 1000);
      this.#write(sequence, before);
    } else if (step.kind === 'fork') {
      const child = {
        id: `s${(this.#count += 1)}`,
        promptLength,
        tokens: tokens.slice(0, promptLength),
        values: sequence.values.slice(0, promptLength),
      };
      const isForked = this.#cache.fork(id, child.id, promptLength);
      expect(isForked).toBe(this.#held.length < this.#cache.capacity);
      if (isForked) this.#held.push(child);
    } else if (step.kind === 'drop') {
      this.#drop(sequence, step.chosen);
    } else {
      if (step.isForAWhile) this.#cache.suspend(id, Int32Array.from(tokens), tokens.length - 1);
      else this.#cache.release(id);
      this.#held = this.#held.filter((held) => held !== sequence);
    }
  }

  /** As the engine does it, which then changes the rows behind the first dropped block. */
  #drop(sequence: Held, chosen: readonly boolean[]): void {
    const { id, tokens, values } = sequence;
    const blocks = Math.floor(tokens.length / 64);
    const places = chosen.flatMap((isChosen, place) => (isChosen && place < blocks - 1 ? [place] : []));
    if (tokens.length % 64 !== 0 || places.length === 0) return;
    const outcome = this.#cache.drop(id, places, tokens.length);
    expect(outcome).toBe('dropped');
    for (const place of places.toReversed()) {
      tokens.splice(place * 64, 64);
      values.splice(place * 64, 64);
    }
    this.#check(sequence);
    for (let row = (places[0] as number) * 64; row < values.length; row += 1) values[row] = (values[row] as number) + 7;
    this.#forEachRow(sequence, 0, (layer, at, value) => (layer[at] = value));
    sequence.promptLength = tokens.length;
  }

  #arrange(wanted: readonly boolean[]): void {
    const chosen = this.#held.filter((_, index) => wanted[index]).map(({ id }) => id);
    const arranged = this.#cache.arrange(chosen, (id) => (this.#held.find((held) => held.id === id) as Held).tokens.length);
    const order = arranged.kind === 'arranged' ? arranged.order : [];
    expect(order.toSorted()).toEqual(chosen.toSorted());
    expect(order.map((id) => this.#cache.slotOf(id))).toEqual(order.map((_, slot) => slot));
  }

  #write(held: Held, from: number): void {
    for (const [place, token] of held.tokens.entries()) {
      if (place === held.values.length) held.values.push((Math.imul(held.values[place - 1] ?? 0, 31) + token + 1) | 0);
    }
    this.#cache.makeReadable(this.#cache.slotOf(held.id), this.#cache.slotRows);
    this.#forEachRow(held, from, (layer, at, value) => (layer[at] = value));
  }

  #check(held: Held): void {
    this.#forEachRow(held, 0, (layer, at, value) => {
      if (layer[at] !== value) throw new Error(`a row of ${held.id} holds ${layer[at]}, not ${value}`);
    });
  }

  #forEachRow({ id, values }: Held, from: number, visit: (layer: Int32Array, at: number, value: number) => void): void {
    const firstRow = this.#cache.slotOf(id) * this.#cache.slotRows;
    for (const [place, value] of values.entries()) {
      if (place < from) continue;
      for (const [index, layer] of this.#layers.entries())
        visit(layer, ((firstRow + place) * this.#cache.rowBytes) / 4, (value + index) | 0);
    }
  }
}

function dataOf(tensor: bigint): bigint {
  return koffi.decode(tensor, 248, 'uint64') as bigint;
}
