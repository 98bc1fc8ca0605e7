import { describe, expect, it } from 'vitest';
import { Turns } from '../../src/text/turns.ts';

/** Work that ends when the test says so. */
function createWork(began: string[]) {
  const ends = new Map<string, PromiseWithResolvers<string>>();
  const work = (name: string) => () => {
    began.push(name);
    const end = Promise.withResolvers<string>();
    ends.set(name, end);
    return end.promise;
  };
  return { work, ends };
}

describe('turns', () => {
  it('come one at a time, in order, also after a failure', async () => {
    const began: string[] = [];
    const { work, ends } = createWork(began);
    const turns = new Turns();
    const [a, b, c] = [turns.take(work('a')), turns.take(work('b')), turns.take(work('c'))];
    expect(began).toEqual(['a']);
    ends.get('a')?.reject(new Error('a failed'));
    await expect(a).rejects.toThrow('a failed');
    await expect.poll(() => began).toEqual(['a', 'b']);
    ends.get('b')?.resolve('b');
    expect(await b).toBe('b');
    await expect.poll(() => began).toEqual(['a', 'b', 'c']);
    ends.get('c')?.resolve('c');
    expect(await c).toBe('c');
  });

  it('are given up at once by who waits, and kept to the end by whose it is', async () => {
    const began: string[] = [];
    const { work, ends } = createWork(began);
    const turns = new Turns();
    const leaving = new AbortController();
    const a = turns.take(work('a'), leaving.signal);
    const b = turns.take(work('b'), leaving.signal);
    const c = turns.take(work('c'));
    const left = new Error('left');
    leaving.abort(left);
    await expect(b).rejects.toBe(left);
    await expect(turns.take(work('d'), leaving.signal)).rejects.toBe(left);
    expect(began).toEqual(['a']);
    ends.get('a')?.resolve('a');
    expect(await a).toBe('a');
    await expect.poll(() => began).toEqual(['a', 'c']);
    ends.get('c')?.resolve('c');
    expect(await c).toBe('c');
  });

  it('are not lost with one that leaves in the moment when its turn comes', async () => {
    const began: string[] = [];
    const { work, ends } = createWork(began);
    const turns = new Turns();
    const leaving = new AbortController();
    const a = turns.take(work('a'));
    const b = turns.take(work('b'), leaving.signal);
    const c = turns.take(work('c'));
    ends.get('a')?.resolve('a');
    void a.then(() => leaving.abort(new Error('left')));
    await expect.poll(() => began).toContain('b');
    ends.get('b')?.resolve('b');
    expect(await b).toBe('b');
    await expect.poll(() => began).toEqual(['a', 'b', 'c']);
    ends.get('c')?.resolve('c');
    expect(await c).toBe('c');
  });
});
