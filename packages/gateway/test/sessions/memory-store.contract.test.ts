import { describe, expect, it } from 'vitest';
import { MemorySessionStore } from '../../src/ingress/sessions/memory-store.ts';
import { sessionStoreContract } from './store-contract.ts';

describe('sessions in memory', () => {
  sessionStoreContract(async (limits, sources) => new MemorySessionStore(limits, sources));

  it('stay within their bytes whatever comes, and leave nothing behind', async () => {
    let now = 0;
    let revision = 0;
    const store = new MemorySessionStore(
      { ttlMs: 10_000, perTenantMax: 1000, sessionsMax: 50, bytesMax: 100_000 },
      { now: () => now, newRevision: () => String((revision += 1)) },
    );
    for (let index = 0; index < 2000; index += 1) {
      now += index % 7;
      const id = String(index % 300);
      const known = await store.read('t', id);
      if (known) await store.replace('t', id, known.revision, 'y'.repeat((index * 37) % 5000));
      else await store.create('t', id, 'x'.repeat((index * 101) % 5000));
      expect(store.bytes).toBeLessThanOrEqual(100_000);
    }
    now += 10_001;
    await store.read('t', 'none');
    expect(store.bytes).toBe(0);
  });
});
