import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { EventLedger, LedgerLimits } from '../../src/ingress/events/event-ledger.ts';

/** What every ledger does. `open` gives one that has counted nothing. */
export function eventLedgerContract(open: (limits: LedgerLimits) => Promise<EventLedger>): void {
  let ledger: EventLedger;
  beforeEach(async () => {
    ledger = await open({ namesMax: 3, clientsMax: 100, clientTtlMs: 60_000 });
  });
  afterEach(() => ledger.close());
  const batch = (sequence: number, name = 'a', count = 1, sum = 0) => ({ sequence, events: [{ name, count, sum }] });
  const totals = async () => Object.fromEntries((await ledger.totals()).map(({ name, count, sum }) => [name, [count, sum]]));

  it('counts a batch once, whatever it comes with and however late', async () => {
    expect(await ledger.add('t', 'client-1', [batch(1, 'a', 2, 0.25)])).toEqual({ accepted: 1, duplicates: 0 });
    expect(await ledger.add('t', 'client-1', [batch(1, 'a', 2, 0.25), batch(2, 'a', 1, 0.5)])).toEqual({ accepted: 1, duplicates: 1 });
    expect(await ledger.add('t', 'client-1', [batch(1, 'a', 2, 0.25)])).toEqual({ accepted: 0, duplicates: 1 });
    expect(await totals()).toEqual({ a: [3, 0.75] });
  });

  it('tells clients and tenants apart', async () => {
    for (const [tenant, client] of [
      ['t', 'client-1'],
      ['t', 'client-2'],
      ['u', 'client-1'],
      ['', 'client-1'],
    ] as const)
      await ledger.add(tenant, client, [batch(1)]);
    expect(await totals()).toEqual({ a: [4, 0] });
  });

  it('remembers so many clients, and forgets who was heard from longest ago', async () => {
    for (let client = 1; client <= 100; client += 1) await ledger.add('t', `client-${client}`, [batch(1)]);
    await ledger.add('t', 'client-1', [batch(2)]);
    await ledger.add('t', 'client-101', [batch(1)]);
    for (const client of [3, 50, 101])
      expect(await ledger.add('t', `client-${client}`, [batch(1)])).toEqual({ accepted: 0, duplicates: 1 });
    expect(await ledger.add('t', 'client-1', [batch(2)])).toEqual({ accepted: 0, duplicates: 1 });
    expect(await ledger.add('t', 'client-2', [batch(1)])).toEqual({ accepted: 1, duplicates: 0 });
  });

  it('has so many names, and counts the rest together', async () => {
    for (const [index, name] of ['a', 'b', 'c', 'd', 'e', 'a'].entries()) await ledger.add('t', 'client-1', [batch(index + 1, name)]);
    expect(await totals()).toEqual({ a: [2, 0], b: [1, 0], c: [1, 0], other: [2, 0] });
  });

  it('counts everything once over a connection that loses answers and delivers late', async () => {
    const delivery = fc.record({ upTo: fc.integer({ min: 1, max: 12 }), from: fc.integer({ min: 1, max: 12 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(delivery, { maxLength: 20 }), fc.uuid(), async (deliveries, client) => {
        const before = (await totals())['a']?.[0] ?? 0;
        let counted = 0;
        // The client's highest answered number only grows, and it sends all above it in order; what is late is a range that was sent
        // before.
        for (const { from, upTo } of deliveries) {
          const start = Math.min(from, counted + 1);
          const end = Math.max(start, Math.min(upTo, counted + 3));
          await ledger.add(
            't',
            client,
            Array.from({ length: end - start + 1 }, (_, index) => batch(start + index)),
          );
          counted = Math.max(counted, end);
        }
        expect(((await totals())['a']?.[0] ?? 0) - before).toBe(counted);
      }),
      { numRuns: 50 },
    );
  });
}
