import { describe, expect, it } from 'vitest';
import { Acceptance } from '../../src/speculation/acceptance.ts';

describe('Acceptance', () => {
  it('follows what is accepted, apart for short and long matches', () => {
    const acceptance = new Acceptance(undefined, 4);
    for (let token = 0; token < 100; token += 1) acceptance.add(20, true);
    expect(acceptance.rate(20)).toBeGreaterThan(0.97);
    for (let token = 0; token < 100; token += 1) acceptance.add(20, false);
    expect(acceptance.rate(20)).toBeLessThan(0.15);
    expect(acceptance.rate(2)).toBe(new Acceptance(undefined, 4).rate(2));
  });

  it('expects of a new answer what others did, until it knows better', () => {
    const others = new Acceptance(undefined, 16);
    for (let token = 0; token < 200; token += 1) others.add(4, false);
    const own = new Acceptance(others, 4);
    expect(own.rate(4)).toBe(others.rate(4));
    for (let token = 0; token < 30; token += 1) own.add(4, true);
    expect(own.rate(4)).toBeGreaterThan(0.7);
  });
});
