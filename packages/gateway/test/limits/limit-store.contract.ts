import { describe, expect, it } from 'vitest';
import type { LimitStore } from '../../src/ingress/limits/limit-store.ts';

export interface StoreUnderTest {
  readonly store: LimitStore;
  readonly source: string;
}

/** What every place for buckets does. The drain of a bucket here takes so long that no test sees any of it, but for one. */
export function limitStoreContract(name: string, open: () => Promise<StoreUnderTest>): void {
  const slow = { capacity: 10, drainMs: 3_600_000 };
  const claim = (bucket: string, cost: number, rate = slow) => ({ bucket, rate, cost });
  const rounded = (used: readonly number[]) => used.map((value) => Math.round(value * 100) / 100);

  describe(`limit store: ${name}`, () => {
    it('takes until a bucket is full, and says how long until there is room', async () => {
      const { store, source } = await open();
      const first = await store.take([claim('a', 6)], 1);
      expect({ ...first, used: rounded(first.used) }).toEqual({ waitMs: 0, used: [6], source });
      const second = await store.take([claim('a', 6)], 1);
      expect(second.waitMs).toBeGreaterThan(700_000);
      expect(second.waitMs).toBeLessThanOrEqual(720_000);
      expect(rounded(second.used)).toEqual([6]);
      expect((await store.take([claim('a', 4)], 1)).waitMs).toBe(0);
      await store.close();
    });

    it('takes from all buckets or from none', async () => {
      const { store } = await open();
      await store.take([claim('full', 10)], 1);
      const refused = await store.take([claim('b', 3), claim('full', 1), claim('c', 3)], 1);
      expect(refused.waitMs).toBeGreaterThan(0);
      expect(rounded((await store.take([claim('b', 0), claim('c', 0)], 1)).used)).toEqual([0, 0]);
      await store.close();
    });

    it('lets what needs more than there ever is take all of it', async () => {
      const { store } = await open();
      const decision = await store.take([claim('a', 1000)], 1);
      expect(decision.waitMs).toBe(0);
      expect(rounded(decision.used)).toEqual([10]);
      expect((await store.take([claim('a', 1000)], 1)).waitMs).toBeGreaterThan(3_590_000);
      await store.close();
    });

    it('leaves to others what is beyond a share', async () => {
      const { store } = await open();
      expect((await store.take([claim('a', 5)], 0.5)).waitMs).toBe(0);
      expect((await store.take([claim('a', 1)], 0.5)).waitMs).toBeGreaterThan(0);
      expect((await store.take([claim('a', 5)], 1)).waitMs).toBe(0);
      await store.close();
    });

    it('puts right what was estimated: what was not used comes back, what was used besides is owed', async () => {
      const { store, source } = await open();
      const { source: by } = await store.take([claim('a', 10)], 1);
      expect(by).toBe(source);
      store.correct([claim('a', -7)], by);
      expect(rounded((await store.take([claim('a', 0)], 1)).used)).toEqual([3]);
      store.correct([claim('a', 20)], by);
      const owed = await store.take([claim('a', 1)], 1);
      expect(rounded(owed.used)).toEqual([23]);
      expect(owed.waitMs).toBeGreaterThan(5_000_000 - 100_000);
      store.correct([claim('a', -1000)], by);
      expect(rounded((await store.take([claim('a', 0)], 1)).used)).toEqual([0]);
      await store.close();
    });

    it('drains steadily', async () => {
      const { store } = await open();
      const quick = { capacity: 1_000_000, drainMs: 1000 };
      await store.take([claim('a', 1_000_000, quick)], 1);
      // It has room for one again within a microsecond: any clock has moved on by then.
      let admitted = false;
      while (!admitted) admitted = (await store.take([claim('a', 1, quick)], 1)).waitMs === 0;
      await store.close();
    });

    it('keeps the limit with many asking at once', async () => {
      const { store } = await open();
      const decisions = await Promise.all(Array.from({ length: 50 }, () => store.take([claim('a', 1), claim('b', 1)], 1)));
      expect(decisions.filter(({ waitMs }) => waitMs === 0)).toHaveLength(10);
      await store.close();
    });
  });
}
