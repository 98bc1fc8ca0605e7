import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SessionLimits, SessionSources, SessionStore } from '../../src/ingress/sessions/session-store.ts';

export type OpenStore = (limits: SessionLimits, sources: SessionSources) => Promise<SessionStore>;

const roomy: SessionLimits = { ttlMs: 1000, perTenantMax: 100, sessionsMax: 1000, bytesMax: 10_000_000 };

/** What every store of sessions does. `open` gives one that holds nothing yet. */
export function sessionStoreContract(open: OpenStore): void {
  let now: number;
  let revisions: number;
  let opened: SessionStore[];
  const openWith = async (limits: Partial<SessionLimits> = {}) => {
    const store = await open({ ...roomy, ...limits }, { now: () => now, newRevision: () => `r${(revisions += 1)}` });
    opened.push(store);
    return store;
  };
  beforeEach(() => {
    [now, revisions, opened] = [1_000_000, 0, []];
  });
  afterEach(async () => {
    for (const store of opened) await store.close();
  });

  it('gives back what it was given, to its tenant alone', async () => {
    const store = await openWith();
    const created = await store.create('a', 's', '{"x":"水\u0000"}');
    expect(created).toEqual({ body: '{"x":"水\u0000"}', revision: 'r1', createdAtMs: now });
    expect(await store.read('a', 's')).toEqual(created);
    expect(await store.read('b', 's')).toBeUndefined();
    expect(await store.replace('b', 's', 'r1', '{}')).toEqual({ kind: 'absent' });
    expect(await store.remove('b', 's', undefined)).toBe('absent');
    expect(await store.read('', 's')).toBeUndefined();
    expect(await store.read('a', 's')).toEqual(created);
  });

  it('replaces one revision by the next, and only that', async () => {
    const store = await openWith();
    await store.create('a', 's', '1');
    const replaced = await store.replace('a', 's', 'r1', '2');
    expect(replaced).toEqual({ kind: 'replaced', revision: expect.not.stringMatching(/^r1$/) as string });
    expect(await store.replace('a', 's', 'r1', '3')).toEqual({ kind: 'changed' });
    expect(await store.read('a', 's')).toMatchObject({ body: '2' });
  });

  it('lets one of many that replace the same revision succeed', async () => {
    const store = await openWith();
    const { revision } = await store.create('a', 's', '0');
    const results = await Promise.all(Array.from({ length: 20 }, (_, index) => store.replace('a', 's', revision, String(index))));
    expect(results.filter(({ kind }) => kind === 'replaced')).toHaveLength(1);
    const winner = results.findIndex(({ kind }) => kind === 'replaced');
    expect(await store.read('a', 's')).toMatchObject({ body: String(winner) });
  });

  it('removes, by its revision where one is given', async () => {
    const store = await openWith();
    await store.create('a', 's', '1');
    expect(await store.remove('a', 's', 'other')).toBe('changed');
    expect(await store.remove('a', 's', 'r1')).toBe('removed');
    expect(await store.remove('a', 's', undefined)).toBe('absent');
    expect(await store.read('a', 's')).toBeUndefined();
  });

  it('forgets what is not used for a while; use begins the while anew', async () => {
    const store = await openWith();
    await store.create('a', 'read', '1');
    await store.create('a', 'replaced', '1');
    await store.create('a', 'idle', '1');
    now += 900;
    const read = await store.read('a', 'read');
    await store.replace('a', 'replaced', 'r2', '2');
    now += 900;
    expect(read?.body).toBe('1');
    expect(await store.read('a', 'read')).toMatchObject({ body: '1' });
    expect(await store.read('a', 'replaced')).toMatchObject({ body: '2' });
    expect(await store.read('a', 'idle')).toBeUndefined();
    now += 1001;
    expect(await store.remove('a', 'read', undefined)).toBe('absent');
  });

  it('refuses a tenant another one beyond its bound, until one has gone', async () => {
    const store = await openWith({ perTenantMax: 2 });
    await store.create('a', '1', '');
    now += 500;
    await store.create('a', '2', '');
    await expect(store.create('a', '3', '')).rejects.toMatchObject({ code: 'session_limit_exceeded' });
    await store.create('b', '3', '');
    await store.remove('a', '2', undefined);
    await store.create('a', '4', '');
    now += 600;
    await store.create('a', '5', '');
    expect(await store.read('a', '4')).toBeDefined();
  });

  describe.each([
    ['sessions', { sessionsMax: 3 }, 'x'],
    ['bytes', { bytesMax: 30_000 }, 'x'.repeat(9000)],
  ])('beyond its bound of %s', (_, limits, body) => {
    it('the one used longest ago gives way', async () => {
      const store = await openWith(limits);
      for (const id of ['1', '2', '3']) {
        await store.create('a', id, body);
        now += 1;
      }
      await store.read('a', '1');
      now += 1;
      await store.create('b', '4', body);
      expect(await store.read('a', '2')).toBeUndefined();
      for (const [tenant, id] of [
        ['a', '1'],
        ['a', '3'],
        ['b', '4'],
      ] as const)
        expect(await store.read(tenant, id)).toBeDefined();
    });
  });

  describe.each([
    ['sessions', { sessionsMax: 6 }],
    ['bytes', { bytesMax: 60_000 }],
  ])('beyond its bound of %s', (_, limits) => {
    it('those of the key that has most give way, under however many names it has them', async () => {
      const store = await openWith(limits);
      for (const id of ['1', '2']) {
        await store.create('other', id, 'x'.repeat(9000));
        now += 1;
      }
      for (let index = 0; index < 12; index += 1) {
        await store.create(`key.${index}`, 's', 'x'.repeat(9000));
        now += 1;
      }
      for (const id of ['1', '2']) expect(await store.read('other', id)).toBeDefined();
      const kept = [];
      for (let index = 0; index < 12; index += 1) kept.push(await store.read(`key.${index}`, 's'));
      expect(kept.map((session) => session !== undefined)).toEqual([...Array<boolean>(8).fill(false), ...Array<boolean>(4).fill(true)]);
    });

    it('a key has them all while no other one is there', async () => {
      const store = await openWith(limits);
      for (let index = 0; index < 6; index += 1) await store.create(`key.${index}`, 's', 'x'.repeat(9000));
      for (let index = 0; index < 6; index += 1) expect(await store.read(`key.${index}`, 's')).toBeDefined();
    });
  });

  it('what was just written stays, however large it is beside those of other keys', async () => {
    const store = await openWith({ bytesMax: 30_000 });
    for (const id of ['1', '2']) {
      await store.create('a', id, 'x'.repeat(9000));
      now += 1;
    }
    await store.create('b.c', '3', 'x'.repeat(19_000));
    expect(await store.read('a', '1')).toBeUndefined();
    for (const [tenant, id] of [
      ['a', '2'],
      ['b.c', '3'],
    ] as const)
      expect(await store.read(tenant, id)).toBeDefined();
  });

  it('counts what a session has grown to', async () => {
    const store = await openWith({ bytesMax: 30_000 });
    await store.create('a', '1', 'x');
    now += 1;
    await store.create('a', '2', 'x');
    now += 1;
    await store.replace('a', '2', 'r2', 'x'.repeat(29_000));
    expect(await store.read('a', '1')).toBeUndefined();
    expect(await store.read('a', '2')).toBeDefined();
  });

  it('does as a map of bodies and revisions would', async () => {
    const id = fc.constantFrom('1', '2', '3');
    const tenant = fc.constantFrom('', 'a', 'b');
    const step = fc.record({
      kind: fc.constantFrom('create', 'read', 'replace', 'stale', 'remove'),
      tenant,
      id,
      body: fc.string({ maxLength: 8 }),
    });
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const store = await openWith();
        run += 1;
        const model = new Map<string, { body: string; revision: string }>();
        for (const { kind, tenant: who, id: bare, body } of steps) {
          const name = `${run}-${bare}`;
          const key = `${who}/${name}`;
          const known = model.get(key);
          if (kind === 'create' && !known) model.set(key, await store.create(who, name, body));
          else if (kind === 'read')
            expect(await store.read(who, name)).toEqual(
              known ? expect.objectContaining({ body: known.body, revision: known.revision }) : undefined,
            );
          else if (kind === 'stale') expect((await store.replace(who, name, 'never', body)).kind).toBe(known ? 'changed' : 'absent');
          else if (kind === 'remove') {
            expect(await store.remove(who, name, undefined)).toBe(known ? 'removed' : 'absent');
            model.delete(key);
          } else if (kind === 'replace' && known) {
            const replaced = await store.replace(who, name, known.revision, body);
            expect(replaced.kind).toBe('replaced');
            if (replaced.kind === 'replaced') model.set(key, { body, revision: replaced.revision });
          }
        }
        for (const key of model.keys()) await store.remove(...(key.split('/') as [string, string]), undefined);
      }),
      { numRuns: 40 },
    );
  });
}
