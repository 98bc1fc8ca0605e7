import type { GatewayRequest, Lane } from '@open-autoglm/protocol';
import { EnginePool } from '../../src/admission/engine-pool.ts';
import { AdmissionQueue, type QueueSettings } from '../../src/admission/queue.ts';
import { Ticket } from '../../src/admission/ticket.ts';
import { promptReplica } from '../../src/engines/prompt-replica.ts';
import { createMockEngine } from '../../src/main.ts';

/** A request that comes at a time, in milliseconds, and takes so long once it is served. */
export interface Arrival {
  readonly atMs: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** What is predicted; the truth when absent. */
  readonly expectedTokens?: number;
  readonly lane?: Lane;
  readonly tenant?: string;
  readonly deadlineMs?: number;
  /** Each as long; 1 when absent. */
  readonly sequences?: number;
}

export interface Outcome {
  readonly arrival: Arrival;
  readonly ticket: Ticket;
  /** Absent: it was not sent. */
  sentAtMs?: number;
  endedAtMs?: number;
  refusedAtMs?: number;
  code?: string;
}

export const settings: QueueSettings = {
  policy: 'mlfq',
  fairness: 'none',
  agingMs: 500,
  waitMsMax: 1e9,
  timeSliceMs: 2,
  priorityWeight: 1.5,
  batchShareMin: 0.1,
  tokenWeights: { prompt: 1, output: 2 },
};

/** Milliseconds of work of one token. */
export const cost = { prompt: 0.2, output: 5 };

export interface Simulation {
  readonly arrivals: readonly Arrival[];
  readonly places: number;
  readonly queueMax?: number;
  readonly settings?: Partial<QueueSettings>;
  /** Told the queue whenever something has happened. */
  readonly look?: (queue: AdmissionQueue, nowMs: number, outcomes: readonly Outcome[]) => void;
}

/**
 * The real queue before an engine whose requests take as long as their tokens say, in a time of its own. Every answer teaches the queue.
 */
export async function simulate({
  arrivals,
  places,
  queueMax = 1e6,
  settings: changes = {},
  look = () => {},
}: Simulation): Promise<readonly Outcome[]> {
  const time = new VirtualTime();
  const target = { replica: promptReplica(createMockEngine()), tier: 'edge', weight: 1, maxOutstanding: places };
  const pool = new EnginePool(
    { name: 'm', targets: [target] },
    { adaptive: false, initial: 1, min: 1, tolerance: 1.5, toleranceMs: 0, queueMax },
  );
  const queue = new AdmissionQueue(pool, { ...settings, ...changes }, time);
  const outcomes = arrivals.map((arrival): Outcome => ({ arrival, ticket: ticketOf(arrival) }));
  const serve = (outcome: Outcome) => {
    const { promptTokens, outputTokens } = outcome.arrival;
    outcome.sentAtMs = outcome.ticket.sentAtMs as number;
    const firstMs = promptTokens * cost.prompt;
    const restMs = outputTokens * cost.output;
    time.after(firstMs + restMs, () => {
      outcome.endedAtMs = time.now();
      queue.work.add({ firstMs, restMs, promptTokens, outputTokens: outputTokens + 1 });
      if (queue.isFair) queue.tenants.chargeOutput(outcome.ticket.tenant, outputTokens);
      queue.leave(outcome.ticket);
    });
  };
  const refuse = (outcome: Outcome, thrown: unknown) => {
    outcome.refusedAtMs = time.now();
    outcome.code = (thrown as { code: string }).code;
  };
  for (const outcome of outcomes) {
    time.after(outcome.arrival.atMs, () => {
      try {
        const turn = queue.enter(outcome.ticket);
        if (!turn) return serve(outcome);
        turn.then(
          () => serve(outcome),
          (thrown: unknown) => {
            refuse(outcome, thrown);
            queue.leave(outcome.ticket);
          },
        );
      } catch (thrown) {
        refuse(outcome, thrown);
      }
    });
  }
  while (await time.step()) look(queue, time.now(), outcomes);
  return outcomes;
}

export function ticketOf({
  promptTokens,
  outputTokens,
  expectedTokens = outputTokens,
  lane,
  tenant = '',
  deadlineMs,
  sequences = 1,
  atMs,
}: Arrival): Ticket {
  const request = { lane, tenant, deadlineAtMs: deadlineMs === undefined ? undefined : atMs + deadlineMs } as GatewayRequest;
  return new Ticket({ request, promptTokens, expectedTokens, sequences });
}

/** A clock that goes on when everything of a moment has been done. */
export class VirtualTime {
  #nowMs = 0;
  #actions: { readonly atMs: number; readonly action: () => void }[] = [];

  now(): number {
    return this.#nowMs;
  }

  after(milliseconds: number, action: () => void): () => void {
    const entry = { atMs: this.#nowMs + milliseconds, action };
    const index = this.#actions.findIndex(({ atMs }) => atMs > entry.atMs);
    this.#actions.splice(index === -1 ? this.#actions.length : index, 0, entry);
    return () => (this.#actions = this.#actions.filter((other) => other !== entry));
  }

  /** Does what is next, and lets promises settle; false when nothing is left. */
  async step(): Promise<boolean> {
    const next = this.#actions.shift();
    if (!next) return false;
    this.#nowMs = next.atMs;
    next.action();
    for (let turn = 0; turn < 4; turn += 1) await Promise.resolve();
    return true;
  }
}
