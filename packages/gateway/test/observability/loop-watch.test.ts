import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LoopWatch } from '../../src/observability/runtime/loop-watch.ts';

/** Until the watch has looked as often as that; its timer alone would not keep the process running. */
async function looked(watch: LoopWatch, times: number): Promise<void> {
  while (watch.delays.count < times) await nextTurn();
}

function block(forMs: number): void {
  const until = performance.now() + forMs;
  while (performance.now() < until);
}

describe('the watch on the event loop', () => {
  let watch: LoopWatch;
  beforeEach(() => {
    watch = new LoopWatch();
  });
  afterEach(() => watch.close());

  it('knows of a block within some work, before and after its timer was heard', async () => {
    watch.begin();
    await looked(watch, 2);
    watch.delays.reset();
    const fromMs = performance.now();
    block(80);
    const toMs = performance.now();
    const unheardMs = watch.blockedMs(fromMs, toMs);
    expect(unheardMs).toBeGreaterThan(50);
    await looked(watch, 1);
    expect(watch.blockedMs(fromMs, toMs)).toBeCloseTo(unheardMs);
    expect(watch.delays.max / 1000).toBeGreaterThan(50);
  });

  it('looks no more after a whole tick without work, and again when work begins', async () => {
    watch.begin();
    watch.end();
    // The tick that the work began in, and the one after it.
    await looked(watch, 2);
    block(60);
    for (let turn = 0; turn < 10; turn += 1) await nextTurn();
    expect(watch.delays.count).toBe(2);
    expect(watch.blockedMs(performance.now() - 50, performance.now())).toBe(0);
    watch.begin();
    await looked(watch, 3);
    watch.end();
  });
});
