import koffi from 'koffi';
import { describe, expect, it } from 'vitest';
import { openDevice } from '../../src/ggml/device.ts';
import { loadGgml } from '../../src/ggml/library.ts';
import type { KvCacheParts } from '../../src/kv-cache/kv-cache-parts.ts';
import type { KvCache } from '../../src/kv-cache/kv-cache.ts';
import { openKvCache } from '../../src/kv-cache/open-kv-cache.ts';
import { createPagedKvCache } from '../../src/kv-cache/paged-kv-cache.ts';
import { createStaticKvCache } from '../../src/kv-cache/static-kv-cache.ts';
import { openVirtualMemory, OutOfMemoryError, type VirtualMemory } from '../../src/kv-cache/virtual-memory.ts';
import { describeKvCache } from './kv-cache.contract.ts';

const ggml = loadGgml();
const device = openDevice(ggml, { threads: 1, poll: 0 });
const sizes = { layerCount: 3, kvHeadCount: 2, headLength: 32 } as KvCacheParts['sizes'];
const partsFor = (maxSequences: number, type: KvCacheParts['type'] = 'f16'): KvCacheParts => ({
  ggml,
  device,
  sizes,
  maxSequences,
  contextLength: 256,
  type,
});
const plenty = { memory: openVirtualMemory(), maxBytes: 2 ** 24, mappingsMax: 65_530 };

describeKvCache('static', (sequences) => createStaticKvCache(partsFor(sequences)));
describeKvCache('static, q8_0', (sequences) => createStaticKvCache(partsFor(sequences, 'q8_0')));
describeKvCache('paged', (sequences) => createPagedKvCache({ ...partsFor(sequences), ...plenty }));
describeKvCache('paged, q8_0', (sequences) => createPagedKvCache({ ...partsFor(sequences, 'q8_0'), ...plenty }));
describeKvCache('paged, with hashes that are all equal', (sequences) =>
  createPagedKvCache({ ...partsFor(sequences), ...plenty, hash: () => 1 }),
);
// Half of what the slots would need: places that nobody holds must give their mappings back.
describeKvCache('paged, with few mappings', (sequences) =>
  createPagedKvCache({ ...partsFor(sequences), ...plenty, mappingsMax: (4 * sequences * sizes.layerCount * 4) / 3 }),
);

/** A row of keys and values of one layer. */
const rowBytes = 2 * 2 * 32 * 2;
const blockBytes = 64 * rowBytes * sizes.layerCount;
const tokens = (length: number, seed = 0) => Int32Array.from({ length }, (_, index) => index + seed);
const place = (sequence: string, prompt: Int32Array) => ({
  sequence,
  tokens: prompt,
  promptLength: prompt.length,
  scope: '',
  spareTokens: 0,
});

describe('the paged KV cache', () => {
  it('has memory for as many tokens as its bytes hold, and says so', () => {
    const cache = createPagedKvCache({ ...partsFor(4), ...plenty, maxBytes: 3.5 * blockBytes });
    expect(cache.usage.capacityTokens).toBe(192);
    expect(cache.maxSequenceTokens).toBe(192);
    expect(cache.acquire(place('a', tokens(130)))).toBe(0);
    expect(cache.acquire(place('b', tokens(10, 5)))).toBeUndefined();
    expect(cache.reserve('a', 192)).toBe(true);
    expect(cache.reserve('a', 193)).toBe(false);
    cache.close();
  });

  it('refuses bytes that hold no block', () => {
    expect(() => createPagedKvCache({ ...partsFor(4), ...plenty, maxBytes: blockBytes - 1 })).toThrow(/kv_cache_bytes/);
  });

  it('commits memory when it is first used, and uses again what has become free', () => {
    const cache = createPagedKvCache({ ...partsFor(4), ...plenty });
    expect(cache.committedBytes).toBe(0);
    for (let round = 0; round < 20; round += 1) {
      cache.acquire(place('a', tokens(100, round)));
      cache.release('a');
    }
    expect(cache.committedBytes).toBe(2 * blockBytes);
    cache.close();
  });

  it.each(['allocate', 'map'] as const)('has no place, and changes nothing, when the system refuses to %s memory', (call) => {
    const real = openVirtualMemory();
    let isShort = false;
    const refusing =
      <A extends unknown[]>(method: (...args: A) => void) =>
      (...args: A) => {
        if (isShort) throw new OutOfMemoryError('mmap: ENOMEM');
        method(...args);
      };
    const memory: VirtualMemory = { ...real, [call]: refusing(real[call] as (...args: unknown[]) => void) };
    const cache = createPagedKvCache({ ...partsFor(4), ...plenty, memory });
    expect(cache.acquire(place('a', tokens(60)))).toBe(0);
    isShort = true;
    const before = cache.usage;
    expect(cache.reserve('a', 200)).toBe(false);
    expect(cache.acquire(place('b', tokens(100, 7)))).toBeUndefined();
    expect(cache.fork('a', 'c', 60)).toBe(false);
    const { queryTokens: _, hitTokens: __, ...after } = cache.usage;
    expect(before).toMatchObject(after);
    isShort = false;
    expect(cache.acquire(place('b', tokens(100, 7)))).toBe(0);
    expect(cache.reserve('a', 200)).toBe(true);
    cache.close();
  });
});

describe('the paged KV cache, dropping blocks', () => {
  it('takes the place away when the system refuses memory for a copy', () => {
    const real = openVirtualMemory();
    let isShort = false;
    const memory: VirtualMemory = {
      ...real,
      allocate: (...args) => {
        if (isShort) throw new OutOfMemoryError('fallocate: ENOSPC');
        real.allocate(...args);
      },
    };
    const cache = createPagedKvCache({ ...partsFor(4), ...plenty, memory });
    const prompt = tokens(256);
    cache.acquire({ ...place('a', prompt), tokensMax: 256 });
    cache.commit('a', prompt, 256);
    cache.acquire({ ...place('b', prompt), tokensMax: 256 });
    isShort = true;
    expect(cache.drop('b', [1], 256)).toBe('lost');
    cache.suspend('b', prompt, 256);
    expect(cache.usage.usedTokens).toBe(256);
    isShort = false;
    expect(cache.acquire({ ...place('b', prompt), tokensMax: 256, findableTokens: 192 })).toBe(192);
    cache.close();
  });

  it('copies nothing where nobody shares and memory is short', () => {
    const cache = createPagedKvCache({ ...partsFor(4), ...plenty, maxBytes: 4 * blockBytes });
    const prompt = tokens(256);
    cache.acquire({ ...place('a', prompt), tokensMax: 256 });
    cache.commit('a', prompt, 256);
    expect(cache.drop('a', [1], 256)).toBe('dropped');
    expect(cache.usage).toMatchObject({ usedTokens: 192, cachedTokens: 64 });
    cache.release('a');
    // What stood behind the dropped block says something else now.
    expect(cache.acquire({ ...place('b', prompt), tokensMax: 256 })).toBe(128);
    cache.close();
  });
});

describe('the paged KV cache, where the system refuses to map what a sequence holds already', () => {
  const firstRow = (cache: KvCache, sequence: string, row = 0) =>
    new Uint8Array(
      koffi.view(ggml.getData(cache.layers.at(-1) as bigint) + BigInt((cache.slotOf(sequence) * cache.slotRows + row) * cache.rowBytes), 8),
    );
  const openRefusing = () => {
    const real = openVirtualMemory();
    const state = { isShort: false };
    const memory: VirtualMemory = {
      ...real,
      map: (...where) => {
        if (state.isShort) throw new OutOfMemoryError('mmap: ENOMEM');
        real.map(...where);
      },
    };
    return { state, cache: createPagedKvCache({ ...partsFor(4), ...plenty, memory }) };
  };

  it('commit says that a sequence cannot be shown what another has computed too, and keeps what it has for it', () => {
    const { cache, state } = openRefusing();
    const prompt = tokens(130);
    for (const sequence of ['a', 'b']) cache.acquire(place(sequence, prompt));
    for (const sequence of ['a', 'b']) firstRow(cache, sequence).fill(7);
    expect(cache.commit('a', prompt, 130)).toBe(true);
    state.isShort = true;
    expect(cache.commit('b', prompt, 130)).toBe(false);
    cache.suspend('b', prompt, 130);
    expect(cache.usage.usedTokens).toBe(192);
    expect(cache.acquire(place('b', prompt))).toBeUndefined();
    state.isShort = false;
    expect(cache.acquire(place('b', prompt))).toBe(128);
    expect([...firstRow(cache, 'b')]).toEqual(new Array(8).fill(7));
    cache.close();
  });

  it('catchUp says that a sequence cannot be shown what others have computed', () => {
    const { cache, state } = openRefusing();
    const prompt = tokens(130);
    for (const sequence of ['a', 'b', 'c']) cache.acquire(place(sequence, prompt));
    firstRow(cache, 'a').fill(7);
    cache.commit('a', prompt, 130);
    expect(cache.catchUp('c', prompt, 0)).toBe(128);
    expect([...firstRow(cache, 'c')]).toEqual(new Array(8).fill(7));
    expect(cache.catchUp('c', prompt, 128)).toBe(128);
    state.isShort = true;
    expect(cache.catchUp('b', prompt, 0)).toBeUndefined();
    cache.release('b');
    expect(cache.usage).toMatchObject({ usedTokens: 256, hitTokens: 256 });
    cache.close();
  });

  it('arrange says who was not moved, and the others can be read', () => {
    const { cache, state } = openRefusing();
    const names = ['a', 'b', 'c', 'd'];
    for (const [index, name] of names.entries()) {
      cache.acquire(place(name, tokens(70, 100 * index)));
      for (const row of [0, 69]) firstRow(cache, name, row).fill(index);
      cache.commit(name, tokens(70, 100 * index), 70);
    }
    state.isShort = true;
    const arranged = cache.arrange(['c', 'd'], () => 70);
    const refused = arranged.kind === 'refused' ? arranged.sequence : '';
    expect(names).toContain(refused);
    cache.suspend(refused, tokens(70, 100 * names.indexOf(refused)), 70);
    state.isShort = false;
    const left = names.filter((name) => name !== refused);
    expect(cache.arrange(left, () => 70).kind).toBe('arranged');
    for (const name of left)
      for (const row of [0, 69]) expect([...firstRow(cache, name, row)]).toEqual(new Array(8).fill(names.indexOf(name)));
    expect(cache.acquire(place(refused, tokens(70, 100 * names.indexOf(refused))))).toBe(64);
    expect([...firstRow(cache, refused)]).toEqual(new Array(8).fill(names.indexOf(refused)));
    cache.close();
  });
});

describe('a mapping that is refused in the middle of the layers', () => {
  it('leaves nothing behind that is taken for another block', () => {
    const real = openVirtualMemory();
    let mapsLeft = Infinity;
    const memory: VirtualMemory = {
      ...real,
      map(...where) {
        if (mapsLeft === 0) throw new OutOfMemoryError('mmap: ENOMEM');
        mapsLeft -= 1;
        real.map(...where);
      },
    };
    const cache = createPagedKvCache({ ...partsFor(1), ...plenty, memory });
    const firstRows = cache.layers.map((layer) => new Uint8Array(koffi.view(ggml.getData(layer), 8)));
    cache.acquire(place('a', tokens(70)));
    for (const row of firstRows) row.fill(7);
    cache.commit('a', tokens(70), 70);
    cache.release('a');
    // The first layer gets the block of another prompt, and the second does not.
    mapsLeft = 1;
    expect(cache.acquire(place('b', tokens(10, 500)))).toBeUndefined();
    mapsLeft = Infinity;
    expect(cache.acquire(place('a again', tokens(70)))).toBe(64);
    for (const row of firstRows) expect([...row]).toEqual(new Array(8).fill(7));
    cache.close();
  });
});

describe('openKvCache', () => {
  it('opens what is asked for', () => {
    for (const strategy of ['paged', 'static'] as const) {
      const { cache, notice } = openKvCache(partsFor(2), { strategy, type: 'q8_0' });
      expect([cache.strategy, notice]).toEqual([strategy, undefined]);
      cache.close();
    }
  });

  it('says why it is static where the system cannot map memory', () => {
    const openMemory = () => {
      throw new Error('memfd_create: EPERM');
    };
    const { cache, notice } = openKvCache(partsFor(2), { strategy: 'paged', type: 'f16' }, openMemory);
    expect(cache.strategy).toBe('static');
    expect(notice).toMatch(/memfd_create: EPERM/);
    cache.close();
  });

  it('refuses q8_0 for heads that are no multiple of its blocks', () => {
    const parts = { ...partsFor(2), sizes: { ...sizes, headLength: 48 } as KvCacheParts['sizes'] };
    expect(() => openKvCache(parts, { strategy: 'static', type: 'q8_0' })).toThrow('kv_cache_type: f16');
  });
});
