import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hashBlock, type BlockHash } from '../../src/kv-cache/block-hash.ts';
import { BlockManager } from '../../src/kv-cache/block-manager.ts';
import { NaiveBlocks } from './naive-blocks.ts';

const blockCount = 9;
const blockTokens = 4;

/** Few tokens, few scopes, most blocks of one token: prompts begin alike all the time. */
const token = fc.nat(1);
const prompts = fc
  .tuple(fc.array(token, { maxLength: 4, size: 'max' }), fc.array(token, { maxLength: blockTokens - 1, size: 'max' }))
  .map(([blocks, tail]) => [...blocks.flatMap((value) => new Array<number>(blockTokens).fill(value)), ...tail])
  .filter((prompt) => prompt.length > 0);
const action = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('open' as const),
      prompt: prompts,
      scope: fc.constantFrom('a', 'b'),
      spare: fc.constantFrom(0, 0, 5),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('read' as const), pick: fc.nat(), count: fc.integer({ min: 1, max: 12 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('generate' as const),
      pick: fc.nat(),
      tokens: fc.array(token, { minLength: 1, maxLength: 9, size: 'max' }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('fork' as const), pick: fc.nat() }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('drop' as const),
      pick: fc.nat(),
      chosen: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('release' as const), pick: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('suspend' as const), pick: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('resume' as const), pick: fc.nat(), spare: fc.constantFrom(0, 5) }) },
);
type Action = typeof action extends fc.Arbitrary<infer A> ? A : never;

interface Running {
  readonly id: string;
  readonly scope: string;
  readonly promptLength: number;
  readonly tokens: number[];
  computed: number;
  /** What lies in memory, once blocks were dropped; it computes nothing then. */
  left?: number[];
}

/** Runs a history, with the tokens that would lie in memory, and a naive model beside it where hashes do not collide. */
class History {
  readonly manager: BlockManager;
  readonly #naive: NaiveBlocks | undefined;
  /** By block: the token at each place and whether it was generated, as `2 · token + generated`. */
  readonly #memory = Array.from({ length: blockCount }, () => new Array<number | undefined>(blockTokens).fill(undefined));
  readonly #running: Running[] = [];
  readonly #suspended: Running[] = [];
  #count = 0;

  constructor(hash: BlockHash) {
    this.manager = new BlockManager({ blockCount, blockTokens, hash });
    this.#naive = hash === hashBlock ? new NaiveBlocks(blockCount, blockTokens) : undefined;
  }

  apply(step: Action): void {
    if (step.kind === 'open') {
      this.#open(
        { id: `s${(this.#count += 1)}`, scope: step.scope, promptLength: step.prompt.length, tokens: step.prompt, computed: 0 },
        step.spare,
      );
    } else if (step.kind === 'resume') {
      const sequence = this.#suspended[step.pick % this.#suspended.length];
      if (sequence && this.#open(sequence, step.spare)) this.#suspended.splice(this.#suspended.indexOf(sequence), 1);
    } else {
      const sequence = this.#running[step.pick % this.#running.length];
      if (sequence) this.#change(sequence, step);
    }
    this.#check();
  }

  releaseAll(): void {
    for (const { id } of this.#running) this.manager.release(id);
  }

  #open(sequence: Running, spare: number): boolean {
    const { id, tokens, promptLength, scope } = sequence;
    const before = this.manager.usage;
    const found = this.manager.open({ sequence: id, tokens: Int32Array.from(tokens), promptLength, scope, spareTokens: spare });
    if (this.#naive) expect(found).toBe(this.#naive.open(id, tokens, promptLength, scope, spare));
    if (found === undefined) {
      expect(this.manager.usage).toEqual(before);
      return false;
    }
    sequence.computed = found;
    this.#running.push(sequence);
    return true;
  }

  #change(sequence: Running, step: Exclude<Action, { kind: 'open' | 'resume' }>): void {
    const { id, tokens, promptLength } = sequence;
    if (step.kind === 'drop') {
      this.#drop(sequence, step.chosen);
    } else if (sequence.left) {
      if (step.kind === 'fork') this.#forkLeft(sequence, sequence.left);
      else if (step.kind !== 'read' && step.kind !== 'generate') this.#leave(sequence);
    } else if (step.kind === 'read') {
      if (step.count % 2 === 0) this.#catchUp(sequence);
      const end = Math.min(promptLength, sequence.computed + step.count);
      if (end > sequence.computed) this.#compute(sequence, end);
      this.#commit(sequence, end);
    } else if (step.kind === 'generate' && sequence.computed >= promptLength) {
      const length = tokens.length + step.tokens.length;
      const hasRoom = this.manager.reserve(id, length);
      if (this.#naive) expect(hasRoom).toBe(this.#naive.reserve(id, length));
      if (!hasRoom) return;
      tokens.push(...step.tokens);
      this.#compute(sequence, length - 1);
    } else if (step.kind === 'fork' && sequence.computed >= promptLength) {
      this.#fork(sequence);
    } else if (step.kind === 'release' || step.kind === 'suspend') {
      if (step.kind === 'suspend') {
        this.#commit(sequence, sequence.computed);
        this.#suspended.push(sequence);
      }
      this.#leave(sequence);
    }
  }

  #leave(sequence: Running): void {
    this.manager.release(sequence.id);
    this.#naive?.release(sequence.id);
    this.#running.splice(this.#running.indexOf(sequence), 1);
  }

  #drop(sequence: Running, chosen: readonly boolean[]): void {
    const rows = sequence.left ?? Array.from({ length: sequence.computed }, (_, place) => this.#written(sequence, place));
    const places = chosen.flatMap((isChosen, place) => (isChosen && (place + 1) * blockTokens < rows.length ? [place] : []));
    if (places.length === 0 || rows.length % blockTokens !== 0) return;
    const before = this.manager.usage;
    const blocks = [...this.manager.blocksOf(sequence.id)];
    const copies = this.manager.drop(sequence.id, places);
    if (this.#naive) expect(copies !== undefined).toBe(this.#naive.drop(sequence.id, places));
    if (!copies) {
      expect(this.manager.usage).toEqual(before);
      return;
    }
    const after = this.manager.blocksOf(sequence.id);
    for (const { from, to } of copies) this.#memory[after[to] as number] = [...(this.#memory[blocks[from] as number] as number[])];
    const left = rows.filter((_, place) => !places.includes(Math.floor(place / blockTokens)));
    sequence.left = left;
    this.#check();
    // Keys behind the first are turned: nobody else may see that.
    for (let place = (places[0] as number) * blockTokens; place < left.length; place += 1) {
      left[place] = (left[place] as number) + 100;
      (this.#memory[after[Math.floor(place / blockTokens)] as number] as number[])[place % blockTokens] = left[place] as number;
    }
  }

  #forkLeft(sequence: Running, left: readonly number[]): void {
    const child = { ...sequence, id: `s${(this.#count += 1)}`, left: [...left] };
    const forked = this.manager.fork(sequence.id, child.id, left.length);
    if (this.#naive) expect(forked !== undefined).toBe(this.#naive.fork(sequence.id, child.id, left.length));
    if (forked) this.#running.push(child);
  }

  #fork({ id, scope, promptLength, tokens }: Running): void {
    const child = { id: `s${(this.#count += 1)}`, scope, promptLength, tokens: tokens.slice(0, promptLength), computed: promptLength };
    const forked = this.manager.fork(id, child.id, promptLength);
    if (this.#naive) expect(forked !== undefined).toBe(this.#naive.fork(id, child.id, promptLength));
    if (!forked) return;
    expect(forked.copy === undefined).toBe(promptLength % blockTokens === 0);
    if (forked.copy) this.#memory[forked.copy.to] = [...(this.#memory[forked.copy.from] as number[])];
    this.#running.push(child);
  }

  /** Writes what was not there, as the engine does. */
  #compute(sequence: Running, end: number): void {
    const blocks = this.manager.blocksOf(sequence.id);
    for (let place = sequence.computed; place < end; place += 1) {
      (this.#memory[blocks[Math.floor(place / blockTokens)] as number] as (number | undefined)[])[place % blockTokens] = this.#written(
        sequence,
        place,
      );
    }
    sequence.computed = Math.max(sequence.computed, end);
  }

  #catchUp(sequence: Running): void {
    const { id, tokens, promptLength, computed } = sequence;
    const prompt = tokens.slice(0, promptLength);
    const before = this.manager.usage.hitTokens;
    sequence.computed = this.manager.catchUp(id, Int32Array.from(prompt), computed);
    expect(this.manager.usage.hitTokens - before).toBe(sequence.computed - computed);
    if (this.#naive) expect(sequence.computed).toBe(this.#naive.catchUp(id, prompt, computed));
    this.#check();
  }

  #commit({ id, tokens }: Running, computed: number): void {
    this.manager.commit(id, Int32Array.from(tokens), computed);
    this.#naive?.commit(id, tokens, computed);
  }

  #written({ tokens, promptLength }: Running, place: number): number {
    return 2 * (tokens[place] as number) + (place < promptLength ? 0 : 1);
  }

  #check(): void {
    for (const sequence of this.#running) {
      const blocks = this.manager.blocksOf(sequence.id);
      expect(new Set(blocks).size).toBe(blocks.length);
      const rows = sequence.left?.length ?? sequence.computed;
      for (let place = 0; place < rows; place += 1) {
        expect(this.#memory[blocks[Math.floor(place / blockTokens)] as number]?.[place % blockTokens]).toBe(
          sequence.left?.[place] ?? this.#written(sequence, place),
        );
      }
    }
    if (!this.#naive) return;
    const { usedTokens, cachedTokens } = this.manager.usage;
    expect({ usedTokens, cachedTokens }).toEqual({
      usedTokens: this.#naive.usedBlocks * blockTokens,
      cachedTokens: this.#naive.cachedBlocks * blockTokens,
    });
  }
}

describe('BlockManager', () => {
  const histories = fc.array(action, { maxLength: 60, size: 'max' });
  const run = (hash: BlockHash, actions: readonly Action[]) => {
    const history = new History(hash);
    for (const step of actions) history.apply(step);
    history.releaseAll();
    const { usedTokens } = history.manager.usage;
    expect(usedTokens).toBe(0);
  };

  it('does what a naive model does, and never lets a sequence read another content than its own', () => {
    fc.assert(
      fc.property(histories, (actions) => run(hashBlock, actions)),
      { numRuns: 400 },
    );
  });

  it.each<readonly [string, BlockHash]>([
    ['all hashes are equal', () => 1],
    ['most hashes are equal', (parent, tokens, from) => (parent + (tokens[from] as number)) % 3],
  ])('never lets a sequence read another content than its own when %s', (_, hash) => {
    fc.assert(
      fc.property(histories, (actions) => run(hash, actions)),
      { numRuns: 200 },
    );
  });

  it('keeps scopes apart', () => {
    const manager = new BlockManager({ blockCount, blockTokens });
    const tokens = Int32Array.of(1, 2, 3, 4, 5, 6, 7, 8);
    const open = (sequence: string, scope: string) => {
      const found = manager.open({ sequence, tokens, promptLength: 8, scope, spareTokens: 0 });
      manager.commit(sequence, tokens, 8);
      manager.release(sequence);
      return found;
    };
    expect(['one', 'two', 'one', 'two'].map((scope, index) => open(`s${index}`, scope))).toEqual([0, 0, 8, 8]);
  });

  it('does not take a generated token for a prompt’s', () => {
    const manager = new BlockManager({ blockCount, blockTokens });
    const tokens = Int32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9);
    const open = (sequence: string, promptLength: number) => manager.open({ sequence, tokens, promptLength, scope: '', spareTokens: 0 });
    expect(open('answered', 5)).toBe(0);
    manager.commit('answered', tokens, 8);
    manager.release('answered');
    expect(open('asked again', 5)).toBe(8);
    expect(open('next turn', 9)).toBe(4);
  });
});

describe('hashBlock', () => {
  it('is a whole number below 2^53 that depends on the chain and on each token', () => {
    const tokens = fc.array(fc.integer({ min: 0, max: 200_000 }), { minLength: 64, maxLength: 64 });
    fc.assert(
      fc.property(tokens, fc.maxSafeNat(), fc.nat(63), (block, parent, place) => {
        const hash = hashBlock(parent, Int32Array.from(block), 0, 64);
        expect(Number.isSafeInteger(hash) && hash >= 0).toBe(true);
        expect(hashBlock((parent + 1) % 2 ** 53, Int32Array.from(block), 0, 64)).not.toBe(hash);
        expect(hashBlock(parent, Int32Array.from(block.with(place, (block[place] as number) + 1)), 0, 64)).not.toBe(hash);
      }),
    );
  });
});
