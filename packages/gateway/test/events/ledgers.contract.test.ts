import { describe, expect, it } from 'vitest';
import { MemoryEventLedger } from '../../src/ingress/events/memory-ledger.ts';
import { RedisEventLedger } from '../../src/ingress/events/redis-ledger.ts';
import { hasRedis, useRedis } from '../services/redis.ts';
import { holdUp, until } from '../support.ts';
import { eventLedgerContract } from './ledger-contract.ts';

describe('events in memory', () => {
  eventLedgerContract(async (limits) => new MemoryEventLedger({ ...limits, now: () => 0 }));

  it('forget clients beyond their bound, and those not heard from', async () => {
    let now = 0;
    const ledger = new MemoryEventLedger({ namesMax: 10, clientTtlMs: 100, clientsMax: 2, now: () => now });
    const send = (client: string) => ledger.add('', client, [{ sequence: 1, events: [] }]);
    for (const client of ['a', 'b', 'a', 'c']) await send(client);
    expect(await send('a')).toEqual({ accepted: 0, duplicates: 1 });
    expect(await send('b')).toEqual({ accepted: 1, duplicates: 0 });
    now = 100;
    expect(await send('b')).toEqual({ accepted: 1, duplicates: 0 });
  });
});

describe.skipIf(!hasRedis)('events in Redis (skipped where redis-server is absent)', () => {
  const redis = useRedis();

  eventLedgerContract(async (limits) => {
    await redis.admin.flushall();
    const ledger = new RedisEventLedger({ ...limits, url: redis.server.url, timeoutMs: 5000 });
    await until(() =>
      ledger.totals().then(
        () => true,
        () => false,
      ),
    );
    return ledger;
  });

  it('an answer that came while this process was busy is no silence', async () => {
    await redis.admin.flushall();
    const ledger = new RedisEventLedger({ namesMax: 10, clientsMax: 10, clientTtlMs: 1000, url: redis.server.url, timeoutMs: 50 });
    await until(() =>
      ledger.totals().then(
        () => true,
        () => false,
      ),
    );
    const added = ledger.add('t', 'client', [{ sequence: 1, events: [] }]);
    holdUp(150);
    expect(await added).toEqual({ accepted: 1, duplicates: 0 });
    await ledger.close();
  });

  it('say so while Redis is away', async () => {
    const ledger = new RedisEventLedger({ namesMax: 10, clientsMax: 10, clientTtlMs: 1000, url: 'redis://127.0.0.1:1', timeoutMs: 100 });
    await expect(ledger.add('t', 'client', [{ sequence: 1, events: [] }])).rejects.toMatchObject({
      code: 'event_store_unavailable',
      status: 503,
    });
    await ledger.close();
  });
});
