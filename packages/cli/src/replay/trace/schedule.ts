import type { Trace } from './open-trace.ts';
import type { TraceRequest } from './trace-format.ts';

export interface ScheduledRequest {
  /** From 0, in the order of the trace. */
  readonly index: number;
  /** Blocks begin one after the other, when the one before has ended. */
  readonly block: number;
  readonly target: number;
  /** From the beginning of its block; never falling within it. */
  readonly dueInBlockMs: number;
  readonly request: TraceRequest;
}

export interface ScheduleOptions {
  readonly speed: number;
  readonly requestCount: number;
}

/** The whole trace for one target: a single block. */
export async function* scheduleForOne(trace: Trace, options: ScheduleOptions): AsyncGenerator<ScheduledRequest> {
  for await (const { index, dueMs, request } of timeline(trace, options))
    yield { index, block: 0, target: 0, dueInBlockMs: dueMs, request };
}

/**
 * Both targets get the same requests, in blocks: A B, B A, A B … Each is alone while its block runs, with the trace's own arrivals,
 * which sending every request to both at once would not give: two servers on one machine would then slow each other, and the greedier
 * one would look better. Blocks are short beside what drifts (heat, neighbours, caches of the machine), and who goes first alternates.
 * The price is twice the time, and that a queue which grows over minutes is emptied at each block's end.
 */
export async function* scheduleForTwo(
  trace: Trace,
  { blockMs, ...options }: ScheduleOptions & { readonly blockMs: number },
): AsyncGenerator<ScheduledRequest> {
  let number = 0;
  for await (const members of cutIntoBlocks(timeline(trace, options), blockMs)) {
    for (const target of number % 4 === 0 ? [0, 1] : [1, 0]) {
      yield* members.map(({ index, dueInBlockMs, request }) => ({ index, block: number, target, dueInBlockMs, request }));
      number += 1;
    }
  }
}

interface Timed {
  readonly index: number;
  readonly dueMs: number;
  readonly request: TraceRequest;
}

async function* timeline(trace: Trace, { speed, requestCount }: ScheduleOptions): AsyncGenerator<Timed> {
  let index = 0;
  for await (const entry of trace.entries()) {
    if (entry.kind === 'broken') continue;
    yield { index, dueMs: entry.atMs / speed, request: entry.request };
    index += 1;
    if (index === requestCount) return;
  }
}

type Member = Omit<Timed, 'dueMs'> & { readonly dueInBlockMs: number };

/** Held in memory a block at a time, to be sent twice. A block without requests takes no time. */
async function* cutIntoBlocks(requests: AsyncIterable<Timed>, blockMs: number): AsyncGenerator<readonly Member[]> {
  let members: Member[] = [];
  let current = 0;
  for await (const { dueMs, index, request } of requests) {
    const block = Math.floor(dueMs / blockMs);
    if (block !== current && members.length > 0) {
      yield members;
      members = [];
    }
    current = block;
    members.push({ index, request, dueInBlockMs: dueMs - block * blockMs });
  }
  if (members.length > 0) yield members;
}
