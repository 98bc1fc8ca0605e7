import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ThreadGovernor } from '../../src/ggml/thread-governor.ts';

/** A machine on which other programs want cores, and an engine that computes without pause, by a clock of its own. */
class Machine {
  readonly governor: ThreadGovernor;
  readonly #cores: number;
  nowMs = 0;
  othersWant = 0;
  #idleMs = 0;
  #idleSinceMs = 0;

  constructor(cores: number, threadsMax = cores) {
    this.#cores = cores;
    this.governor = new ThreadGovernor({ threadsMax, now: () => this.nowMs, idleCores: () => this.#takeIdle() });
  }

  /** Computes graphs of 5 ms for so long. Returns the thread counts that were seen. */
  compute(forMs: number): ReadonlySet<number> {
    const seen = new Set<number>();
    for (const endMs = this.nowMs + forMs; this.nowMs < endMs;) {
      const { threads } = this.governor;
      seen.add(threads);
      // Whoever wants a core gets a fair part of it.
      const wanted = threads + this.othersWant;
      const got = wanted <= this.#cores ? threads : (threads * this.#cores) / wanted;
      this.nowMs += 5;
      this.#idleMs += 5 * Math.max(0, this.#cores - wanted);
      this.governor.onComputed(5, 5 * got);
    }
    return seen;
  }

  #takeIdle(): number {
    const idle = this.nowMs > this.#idleSinceMs ? this.#idleMs / (this.nowMs - this.#idleSinceMs) : 0;
    [this.#idleMs, this.#idleSinceMs] = [0, this.nowMs];
    return idle;
  }
}

describe('ThreadGovernor', () => {
  it('leaves all threads to a machine of its own', () => {
    expect([...new Machine(4).compute(5000)]).toEqual([4]);
  });

  it('takes threads away within a few windows when others want cores, and gives them back when these are free', () => {
    const machine = new Machine(2);
    machine.othersWant = 2;
    machine.compute(300);
    expect(machine.governor.threads).toBe(1);
    machine.compute(5000);
    expect(machine.governor.threads).toBe(1);
    machine.othersWant = 0;
    machine.compute(600);
    expect(machine.governor.threads).toBe(2);
  });

  it('tells how much time was lost for want of cores', () => {
    const machine = new Machine(2);
    machine.compute(1000);
    expect(machine.governor.missingCoresMs).toBe(0);
    machine.othersWant = 2;
    machine.compute(1000);
    // Two threads beside two programs get half of the cores; one gets a third, of which it makes more.
    expect(machine.governor.missingCoresMs).toBeGreaterThanOrEqual(500);
    expect(machine.governor.missingCoresMs).toBeLessThanOrEqual(1000 * (2 / 3));
  });

  it('does not mind a program that wants a core for a moment', () => {
    const { governor } = new Machine(2);
    for (let second = 0; second < 10; second += 1) {
      for (let graph = 0; graph < 200; graph += 1) governor.onComputed(5, second > 0 && graph < 20 ? 7 : 10);
      expect(governor.threads).toBe(2);
    }
  });

  it('comes back to all threads while another program uses a quarter of a core', () => {
    let nowMs = 0;
    const governor: ThreadGovernor = new ThreadGovernor({ threadsMax: 2, now: () => nowMs, idleCores: () => 2 - governor.threads - 0.25 });
    const compute = (forMs: number, got: number) => {
      for (const endMs = nowMs + forMs; nowMs < endMs;) {
        nowMs += 5;
        governor.onComputed(5, 5 * Math.min(governor.threads, got));
      }
    };
    compute(100, 1);
    expect(governor.threads).toBe(1);
    compute(500, 1.75);
    expect(governor.threads).toBe(2);
  });

  it('gives up only the cores that are missing', () => {
    const machine = new Machine(8);
    machine.othersWant = 3;
    machine.compute(2000);
    expect(machine.governor.threads).toBeGreaterThanOrEqual(4);
    expect(machine.governor.threads).toBeLessThanOrEqual(6);
  });

  it('does not mind what its own work between two graphs costs', () => {
    const { governor } = new Machine(2);
    for (let graph = 0; graph < 500; graph += 1) governor.onComputed(1, 1.75);
    expect(governor.threads).toBe(2);
  });

  it('tries ever more seldom where a limit that nobody sees takes the cores away again', () => {
    // As a container that may use one core of four: they are idle, and yet cannot be had.
    let nowMs = 0;
    const governor = new ThreadGovernor({ threadsMax: 2, now: () => nowMs, idleCores: () => 3 });
    let raises = 0;
    for (let before = governor.threads; nowMs < 60_000; before = governor.threads) {
      nowMs += 5;
      governor.onComputed(5, 5);
      if (governor.threads > before) raises += 1;
    }
    expect(raises).toBeLessThan(15);
    expect(raises).toBeGreaterThan(3);
  });

  it('stays within one and the most that were asked for, whatever happens', () => {
    const phase = fc.record({ othersWant: fc.nat({ max: 12 }), forMs: fc.integer({ min: 5, max: 3000 }) });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 12 }),
        fc.array(phase, { maxLength: 8 }),
        (cores, threadsMax, phases) => {
          const machine = new Machine(cores, threadsMax);
          for (const { othersWant, forMs } of phases) {
            machine.othersWant = othersWant;
            for (const threads of machine.compute(forMs)) {
              expect(threads).toBeGreaterThanOrEqual(1);
              expect(threads).toBeLessThanOrEqual(threadsMax);
            }
          }
        },
      ),
      { numRuns: 50 },
    );
  });
});
