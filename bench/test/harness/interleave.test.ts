import { describe, expect, it } from 'vitest';
import { interleave } from '../../src/harness/interleave.ts';

describe('interleave', () => {
  it('alternates who goes first, warms up first, and pairs figures by round', async () => {
    const calls: string[] = [];
    const contestant = (name: string) => async () => {
      calls.push(name);
      return calls.length;
    };
    const figures = await interleave([contestant('A'), contestant('B')], { runs: 2, warmups: 1, settle: async () => {} });
    expect(calls.join('')).toBe('BAABBA');
    expect(figures).toEqual([
      [3, 6],
      [4, 5],
    ]);
  });

  it('rejects with what a contestant throws', async () => {
    const broken = async () => Promise.reject(new Error('no room'));
    await expect(interleave([broken], { runs: 1, warmups: 0, settle: async () => {} })).rejects.toThrow('no room');
  });
});
