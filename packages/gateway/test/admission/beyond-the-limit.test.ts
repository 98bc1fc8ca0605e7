import { describe, expect, it } from 'vitest';
import { EnginePool } from '../../src/admission/engine-pool.ts';
import type { PolicyName } from '../../src/admission/policies/index.ts';
import { AdmissionQueue } from '../../src/admission/queue.ts';
import type { Ticket } from '../../src/admission/ticket.ts';
import { promptReplica } from '../../src/engines/prompt-replica.ts';
import { createMockEngine } from '../../src/main.ts';
import { settings, ticketOf, VirtualTime, type Arrival } from './simulator.ts';

const agingMs = 500;

/** Engines of ours with two places each, of which the last is down where `isDown`; their limit is 3. */
function open({
  policy,
  engineCount = 1,
  isDown = false,
  maxOutstanding = 1000,
  batchShareMin = 0,
}: {
  policy: PolicyName;
  engineCount?: number;
  isDown?: boolean;
  maxOutstanding?: number;
  batchShareMin?: number;
}) {
  const time = new VirtualTime();
  const targets = Array.from({ length: engineCount }, (_, index) => {
    const replica = promptReplica(createMockEngine(), `engine ${index}`);
    if (isDown && index === engineCount - 1) Object.defineProperty(replica, 'status', { value: { state: 'failed' } });
    return { replica, tier: 'edge', weight: 1, maxOutstanding, concurrency: 2 };
  });
  const pool = new EnginePool({ name: 'm', targets }, { adaptive: false, initial: 1, min: 1, tolerance: 1.5, toleranceMs: 0, queueMax: 1 });
  const queue = new AdmissionQueue(pool, { ...settings, policy, agingMs, batchShareMin, waitMsMax: Infinity }, time);
  const enter = (arrival: Partial<Arrival> = {}): Ticket => {
    const ticket = ticketOf({ atMs: time.now(), promptTokens: 1, outputTokens: 10, ...arrival });
    void queue.enter(ticket);
    return ticket;
  };
  /** Until the bound of aging is over for all that wait. */
  const age = async () => {
    while (await time.step());
  };
  return { queue, enter, age };
}

const isSent = ({ sentAtMs }: Ticket) => sentAtMs !== undefined;

describe('who has grown old', () => {
  it('is sent also where another engine is down, and its places are no places', async () => {
    const { queue, enter, age } = open({ policy: 'srtf', engineCount: 2, isDown: true });
    const [first] = [enter(), enter(), enter()] as const;
    const old = enter({ expectedTokens: 40 });
    const ahead = enter({ expectedTokens: 1 });
    queue.leave(first);
    expect([old, ahead].map(isSent)).toEqual([false, true]);
    await age();
    expect(isSent(old)).toBe(true);
  });

  it('of the batch lane leaves real time its limit', async () => {
    const { queue, enter, age } = open({ policy: 'edf' });
    const batch = { lane: 'batch' } as const;
    const [first] = [enter(batch), enter(batch), enter(batch)] as const;
    const old = Array.from({ length: 12 }, () => enter(batch));
    enter({ ...batch, deadlineMs: 100_000 });
    queue.leave(first);
    await age();
    expect(old.some(isSent)).toBe(true);
    expect([enter(), enter(), enter(), enter()].map(isSent)).toEqual([true, true, true, false]);
  });
});

describe('an engine', () => {
  it('beside others is sent no more than the router gives it', () => {
    const { queue, enter } = open({ policy: 'fcfs', engineCount: 2, maxOutstanding: 4, batchShareMin: 0.9 });
    for (const lane of [...new Array<'realtime'>(6).fill('realtime'), ...new Array<'batch'>(3).fill('batch')]) enter({ lane });
    expect(queue.running).toEqual({ realtime: 6, batch: 2 });
  });

  it('of ours that is alone has room for the batch lane’s share beside full real time', () => {
    const { queue, enter } = open({ policy: 'fcfs', maxOutstanding: 3, batchShareMin: 0.9 });
    for (const lane of ['realtime', 'realtime', 'realtime', 'batch', 'batch'] as const) enter({ lane });
    expect(queue.running).toEqual({ realtime: 3, batch: 2 });
  });
});
