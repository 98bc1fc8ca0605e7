import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { balancePolicies, type BalanceName, type Candidate } from '../../src/router/balance/index.ts';
import { hashText } from '../../src/router/hash.ts';

const names = Object.keys(balancePolicies) as BalanceName[];

const candidate = fc.record({
  id: fc.integer({ min: 0, max: 0xffffffff }),
  weight: fc.double({ min: 0.01, max: 100, noNaN: true }),
  outstanding: fc.nat(1000),
  pass: fc.double({ min: 0, max: 1e6, noNaN: true }),
  latencyMs: fc.double({ min: 0, max: 1e5, noNaN: true }),
  prefixMatch: fc.double({ min: 0, max: 1, noNaN: true }),
  deviceScore: fc.double({ min: 1e-6, max: 4, noNaN: true }),
});
const candidates = fc.array(candidate, { minLength: 1, maxLength: 12 });
const key = fc.option(fc.integer({ min: 0, max: 0xffffffff }), { nil: undefined });
const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

function replica(name: string, changes: Partial<Candidate> = {}): Candidate {
  return { id: hashText(name), weight: 1, outstanding: 0, pass: 0, latencyMs: 0, prefixMatch: 0, deviceScore: 0.5, ...changes };
}

/** The share of requests that each gets when it keeps none and the policy chooses so many times. */
function shares(name: BalanceName, replicas: readonly Candidate[], count: number): number[] {
  const state = replicas.map((each) => ({ ...each }));
  const chosen = replicas.map(() => 0);
  let seed = 1;
  const next = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
  for (let request = 0; request < count; request += 1) {
    const index = balancePolicies[name].choose(state, { key: hashText(String(request)), random: next });
    chosen[index] = (chosen[index] ?? 0) + 1 / count;
    const one = state[index] as (typeof state)[number];
    one.pass += 1 / one.weight;
  }
  return chosen;
}

describe.each(names)('%s', (name) => {
  it('always chooses one of the candidates, and changes none', () => {
    fc.assert(
      fc.property(candidates, key, fc.array(random, { minLength: 2, maxLength: 2 }), (replicas, ofRequest, numbers) => {
        const before = structuredClone(replicas);
        let drawn = 0;
        const index = balancePolicies[name].choose(replicas, { key: ofRequest, random: () => numbers[drawn++ % 2] as number });
        expect(index).toBeGreaterThanOrEqual(0);
        expect(index).toBeLessThan(replicas.length);
        expect(replicas).toEqual(before);
      }),
    );
  });
});

describe('weights', () => {
  it.each(['round_robin', 'weighted_random', 'least_connections', 'ip_hash', 'session_hash'] as const)('share the work: %s', (name) => {
    const [one = 0, two = 0, three = 0] = shares(name, [replica('a'), replica('b', { weight: 2 }), replica('c', { weight: 5 })], 8000);
    expect(one).toBeCloseTo(1 / 8, 1);
    expect(two).toBeCloseTo(2 / 8, 1);
    expect(three).toBeCloseTo(5 / 8, 1);
  });

  it('are spread as evenly as can be by round_robin', () => {
    const state = [replica('a', { weight: 2 }), replica('b')].map((each) => ({ ...each }));
    const order = Array.from({ length: 6 }, () => {
      const index = balancePolicies.round_robin.choose(state, { key: undefined, random: Math.random });
      const one = state[index] as (typeof state)[number];
      one.pass += 1 / one.weight;
      return 'ab'[index];
    }).join('');
    expect(order).toBe('abaaba');
  });
});

describe('devices', () => {
  it('takes turns where they have the same room', () => {
    expect(shares('devices', [replica('a'), replica('b'), replica('c')], 9)).toEqual([1, 1, 1].map((share) => expect.closeTo(share / 3)));
  });
});

describe('least_connections', () => {
  it('chooses nobody who has more for its weight than another', () => {
    fc.assert(
      fc.property(candidates, (replicas) => {
        const chosen = replicas[balancePolicies.least_connections.choose(replicas, { key: undefined, random: Math.random })] as Candidate;
        expect(replicas.every(({ outstanding, weight }) => outstanding / weight >= chosen.outstanding / chosen.weight)).toBe(true);
      }),
    );
  });
});

describe('two_choices and peak_ewma', () => {
  it('never choose the worst of at least two', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.nat(1000), { minLength: 2, maxLength: 8 }),
        fc.array(random, { minLength: 2, maxLength: 2 }),
        (loads, numbers) => {
          const worst = loads.indexOf(Math.max(...loads));
          let drawn = 0;
          const next = { key: undefined, random: () => numbers[drawn++ % 2] as number };
          expect(
            balancePolicies.two_choices.choose(
              loads.map((outstanding, index) => replica(String(index), { outstanding })),
              next,
            ),
          ).not.toBe(worst);
          expect(
            balancePolicies.peak_ewma.choose(
              loads.map((load, index) => replica(String(index), { latencyMs: load + 1 })),
              next,
            ),
          ).not.toBe(worst);
        },
      ),
    );
  });

  it('of two, peak_ewma prefers a fast busy one to a slow idle one, and one that is new to both', () => {
    const fast = replica('fast', { latencyMs: 10, outstanding: 5 });
    const slow = replica('slow', { latencyMs: 100 });
    const next = { key: undefined, random: () => 0 };
    expect(balancePolicies.peak_ewma.choose([slow, fast], next)).toBe(1);
    expect(balancePolicies.peak_ewma.choose([fast, replica('new')], next)).toBe(1);
    expect(balancePolicies.peak_ewma.choose([fast, replica('mute', { outstanding: 1 })], next)).toBe(0);
  });
});

describe.each(['ip_hash', 'session_hash'] as const)('%s', (name) => {
  const choose = (replicas: readonly Candidate[], ofRequest: number) =>
    replicas[balancePolicies[name].choose(replicas, { key: ofRequest, random: Math.random })] as Candidate;
  const distinct = fc.uniqueArray(
    candidate.map((each) => ({ ...each, outstanding: 0 })),
    { minLength: 2, maxLength: 10, selector: ({ id }) => id },
  );

  it('moves only the keys of a replica that goes', () => {
    fc.assert(
      fc.property(distinct, fc.integer({ min: 0, max: 0xffffffff }), fc.nat(), (replicas, ofRequest, at) => {
        const gone = replicas[at % replicas.length] as Candidate;
        const home = choose(replicas, ofRequest);
        if (home.id !== gone.id)
          expect(
            choose(
              replicas.filter(({ id }) => id !== gone.id),
              ofRequest,
            ).id,
          ).toBe(home.id);
      }),
    );
  });

  it('gives nobody more than 1.25 times its share, whatever the keys are', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 6 }), fc.integer({ min: 1, max: 200 }), (count, requests) => {
        const replicas = Array.from({ length: count }, (_, index) => ({ ...replica(String(index)) }));
        for (let request = 0; request < requests; request += 1) {
          const chosen = choose(replicas, 7) as (typeof replicas)[number];
          chosen.outstanding += 1;
          const total = replicas.reduce((sum, { outstanding }) => sum + outstanding, 0);
          expect(chosen.outstanding).toBeLessThanOrEqual(Math.ceil((1.25 * total) / count));
        }
      }),
    );
  });
});

describe('prefix_affinity', () => {
  const choose = (...replicas: Candidate[]) => balancePolicies.prefix_affinity.choose(replicas, { key: undefined, random: Math.random });

  it('follows the longest match while its replica is not much busier, and the load when nothing matches', () => {
    expect(
      choose(
        replica('a', { outstanding: 2 }),
        replica('b', { prefixMatch: 0.6, outstanding: 2 }),
        replica('c', { prefixMatch: 0.9, outstanding: 3 }),
      ),
    ).toBe(2);
    expect(choose(replica('a', { outstanding: 2 }), replica('b', { prefixMatch: 0.9, outstanding: 9 }))).toBe(0);
    expect(choose(replica('a', { outstanding: 2, prefixMatch: 0.05 }), replica('b', { outstanding: 1 }))).toBe(1);
    expect(choose(replica('a', { outstanding: 5, prefixMatch: 1 }), replica('b', { outstanding: 4, prefixMatch: 1 }))).toBe(1);
  });
});
