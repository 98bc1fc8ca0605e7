import { expect, it } from 'vitest';
import type { CacheLevel } from '../../src/response-cache/levels/level.ts';

export interface LevelUnderTest extends AsyncDisposable {
  readonly level: CacheLevel<string>;
  /** Milliseconds since 1970, as the level sees them. */
  now(): number;
  /** Lets time pass, in milliseconds. */
  pass(ms: number): Promise<void>;
  /** Until all that was to be kept is kept. */
  settled(): Promise<void>;
}

/** What every level of the cache must do. */
export function levelContract(open: () => Promise<LevelUnderTest>): void {
  it('gives what was kept, as it was, until its time is over', async () => {
    await using under = await open();
    const { level } = under;
    const text = 'a "quoted" line\n你好 🙂 \u0000\u2028';
    expect(await level.get('a')).toBeUndefined();
    level.set('a', text, under.now() + 60_000);
    level.set('b', '', under.now() + 600_000);
    await under.settled();
    expect([await level.get('a'), await level.get('b'), await level.get('A')]).toEqual([text, '', undefined]);
    expect([await level.require('a'), await level.require('A')]).toEqual([text, undefined]);
    await under.pass(61_000);
    expect([await level.get('a'), await level.get('b')]).toEqual([undefined, '']);
  });

  it('keeps the newest of one key', async () => {
    await using under = await open();
    for (let index = 0; index < 20; index += 1) under.level.set('a', String(index), under.now() + 60_000);
    await under.settled();
    expect(await under.level.get('a')).toBe('19');
  });

  it('does not keep what is over already', async () => {
    await using under = await open();
    under.level.set('a', 'x', under.now() - 1);
    await under.settled();
    expect(await under.level.get('a')).toBeUndefined();
  });

  it('forgets what is deleted, also where it is still on its way', async () => {
    await using under = await open();
    const { level } = under;
    level.set('a', 'x', under.now() + 60_000);
    await under.settled();
    level.set('b', 'y', under.now() + 60_000);
    expect([await level.delete('a'), await level.delete('c')]).toEqual([true, false]);
    await level.delete('b');
    await under.settled();
    expect([await level.get('a'), await level.get('b')]).toEqual([undefined, undefined]);
  });
}
