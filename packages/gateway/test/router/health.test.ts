import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { beginTry, closedBreaker, learn, mayTry, type Breaker, type Outcome } from '../../src/common/breaker.ts';
import { Budget } from '../../src/router/budget.ts';
import { learnLatency, peakAt, unknownLatency, type Latency } from '../../src/router/latency.ts';
import { PrefixIndex, piecesOf } from '../../src/router/prefix-index.ts';
import { RecentQuantile } from '../../src/router/recent-quantile.ts';
import { isSlow } from '../../src/router/slowness.ts';

const settings = { failuresMax: 3, openMsFirst: 1000, openMsMax: 30_000 };
const outcomes: readonly Outcome[] = ['begun', 'answered', 'failed', 'unreachable', 'slow', 'abandoned'];

describe('the breaker', () => {
  it('lets one request at a time through after it has opened, and is never shut for ever', () => {
    const steps = fc.array(fc.record({ outcome: fc.constantFrom(...outcomes), waitMs: fc.nat(40_000) }), { maxLength: 60 });
    fc.assert(
      fc.property(steps, (all) => {
        let breaker: Breaker = closedBreaker;
        let now = 0;
        for (const { outcome, waitMs } of all) {
          now += waitMs;
          if (mayTry(breaker, now)) breaker = beginTry(breaker, now, settings);
          if (breaker.state === 'probing') expect(mayTry(breaker, now)).toBe(false);
          breaker = learn(breaker, outcome, now, settings);
          expect(mayTry(breaker, now + settings.openMsMax)).toBe(true);
          if (breaker.state !== 'closed') expect(breaker.untilMs - now).toBeLessThanOrEqual(settings.openMsMax);
        }
      }),
    );
  });

  it('opens after failures in a row, at once without a connection, for twice as long each time', () => {
    const after = (...list: Outcome[]) => list.reduce<Breaker>((breaker, outcome) => learn(breaker, outcome, 0, settings), closedBreaker);
    expect(after('failed', 'failed').state).toBe('closed');
    expect(after('failed', 'begun', 'failed', 'failed').state).toBe('open');
    expect(after('failed', 'failed', 'answered', 'failed').state).toBe('closed');
    expect(after('unreachable')).toEqual({ state: 'open', opened: 1, untilMs: 1000 });
    const again = learn(beginTry(after('slow'), 4000, settings), 'failed', 5000, settings);
    expect(again).toEqual({ state: 'open', opened: 2, untilMs: 7000 });
    expect(learn(beginTry(again, 7000, settings), 'begun', 8000, settings).state).toBe('closed');
    expect(mayTry(learn(beginTry(again, 7000, settings), 'abandoned', 8000, settings), 8000)).toBe(true);
  });

  it('is shut for longer each time where answers begin and are cut, until one is whole', () => {
    const cut = (before: Breaker, now: number) =>
      learn(learn(before.state === 'closed' ? before : beginTry(before, now, settings), 'begun', now, settings), 'failed', now, settings);
    let [breaker, tries] = [closedBreaker as Breaker, 0];
    for (let now = 0; now < 60_000; now += 500) {
      if (!mayTry(breaker, now)) continue;
      breaker = cut(breaker, now);
      tries += 1;
    }
    // Three open it; then one after 1, 2, 4, 8, 16 and 30 seconds.
    expect(tries).toBe(8);
    const well = learn(learn(beginTry(breaker, 100_000, settings), 'begun', 100_000, settings), 'answered', 100_000, settings);
    expect(well).toEqual(closedBreaker);
  });

  it('lets another one through where the first says nothing for as long as it was open', () => {
    const opened = learn(learn(closedBreaker, 'unreachable', 0, settings), 'unreachable', 0, settings);
    const probing = beginTry(opened, 1500, settings);
    expect([mayTry(probing, 2499), mayTry(probing, 2500)]).toEqual([false, true]);
    const second = beginTry(probing, 2600, settings);
    expect([mayTry(second, 3599), mayTry(second, 3600)]).toEqual([false, true]);
    expect(learn(second, 'begun', 2700, settings).state).toBe('closed');
  });
});

describe('a budget', () => {
  it('never gives more than its share of the requests, its rate, and what it began with', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('request', 'retry', 'wait'), { maxLength: 400 }), (steps) => {
        const budget = new Budget({ ratio: 0.2, perSecond: 10, max: 5 });
        let [now, requests, given] = [0, 0, 0];
        for (const step of steps) {
          if (step === 'wait') now += 50;
          else if (step === 'request') {
            requests += 1;
            budget.deposit();
          } else given += Number(budget.withdraw(now));
        }
        expect(given).toBeLessThanOrEqual(5 + requests * 0.2 + (now / 1000) * 10 + 1e-9);
      }),
    );
  });
});

describe('what is known of latency', () => {
  it('stays between the least and the most that was seen; the peak follows a rise at once', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ sample: fc.double({ min: 0.1, max: 1e4, noNaN: true }), waitMs: fc.nat(5000) }), { minLength: 1 }),
        (all) => {
          let latency: Latency = unknownLatency;
          let now = 0;
          for (const { sample, waitMs } of all) {
            now += waitMs;
            latency = learnLatency(latency, sample, now);
            expect(latency.peakMs).toBeGreaterThanOrEqual(sample - 1e-9);
          }
          const samples = all.map(({ sample }) => sample);
          expect(latency.typicalMs).toBeGreaterThanOrEqual(Math.min(...samples) - 1e-9);
          expect(latency.typicalMs).toBeLessThanOrEqual(Math.max(...samples) + 1e-9);
          expect(peakAt(latency, now + 60_000)).toBeLessThan(latency.peakMs / 100);
        },
      ),
    );
  });

  it('tells a slow replica from its fellows only when enough is known of both', () => {
    const known = (typicalMs: number, count = 50): Latency => ({ typicalMs, peakMs: typicalMs, count, atMs: 0 });
    expect(isSlow(known(100), [known(10), known(12)], 5)).toBe(true);
    expect(isSlow(known(100), [known(10), known(12)], 0)).toBe(false);
    expect(isSlow(known(100, 3), [known(10), known(12)], 5)).toBe(false);
    expect(isSlow(known(100), [known(10, 3)], 5)).toBe(false);
    expect(isSlow(known(100), [], 5)).toBe(false);
    expect(isSlow(known(4), [known(0.5)], 5)).toBe(false);
  });
});

describe('slowness', () => {
  it.each([100, 5000])(
    'is found soon of who takes ten times as long with each, and of nobody whom long questions come to: one each %d ms',
    (gapMs) => {
      let seed = 1;
      const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
      /** Of a hundred questions two take a hundred times as long, and eight twenty times. */
      const durationMs = () => {
        const drawn = random();
        return drawn < 0.02 ? 10_000 : drawn < 0.1 ? 2000 : 100;
      };
      const replicas: Latency[] = [unknownLatency, unknownLatency, unknownLatency];
      const found = [0, 0, 0];
      for (let question = 0; question < 3000; question += 1) {
        const at = question % 3;
        replicas[at] = learnLatency(replicas[at] as Latency, durationMs() * (at === 2 ? 10 : 1), question * gapMs);
        const isFound = isSlow(
          replicas[at],
          replicas.filter((_, other) => other !== at && other !== 2),
          5,
        );
        found[at] = (found[at] as number) + Number(isFound);
        if (question === 60) expect(found[2]).toBeGreaterThan(0);
      }
      expect(found.slice(0, 2)).toEqual([0, 0]);
    },
  );
});

describe('a quantile of the last values', () => {
  it('is unknown at first, then near the true one, and forgets', () => {
    const quantile = new RecentQuantile(0.95);
    for (let value = 1; value <= 31; value += 1) quantile.add(value);
    expect(quantile.value).toBeUndefined();
    for (let value = 32; value <= 256; value += 1) quantile.add(value);
    expect(quantile.value).toBe(244);
    for (let count = 0; count < 256; count += 1) quantile.add(7);
    expect(quantile.value).toBe(7);
  });
});

describe('what a replica has read', () => {
  const chat = (text: string) => piecesOf({ input: { kind: 'chat', messages: [{ role: 'user', content: text }] } });

  it('matches by prefix, and by nothing else', () => {
    const index = new PrefixIndex();
    const text = 'x'.repeat(1280);
    index.remember(chat(`${text}a`));
    expect(index.match(chat(`${text}b`))).toBe(1);
    expect(index.match(chat(`y${text}`))).toBe(0);
    expect(index.match(chat(text + 'z'.repeat(1280)))).toBeCloseTo(0.5, 1);
    expect(index.match(chat('short'))).toBe(0);
  });

  it('forgets what was used longest ago, a prefix from its end', () => {
    const index = new PrefixIndex();
    const first = chat('a'.repeat(128 * 100));
    index.remember(first);
    for (let count = 0; count < 70; count += 1) index.remember(chat(`${count}${'b'.repeat(128 * 500)}`));
    expect(index.match(first)).toBe(0);
    expect(index.match(chat(`69${'b'.repeat(128 * 500)}`))).toBe(1);
  });
});
