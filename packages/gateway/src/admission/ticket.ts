import type { GatewayRequest, Lane } from '@open-autoglm/protocol';
import type { Place, Waiting } from './policies/index.ts';

/** What is known of a request when it comes to the queue. */
export interface TicketFacts {
  readonly request: GatewayRequest;
  readonly promptTokens: number;
  readonly expectedTokens: number;
  readonly sequences: number;
}

/** One request in the queue and, once it was sent, under way. */
export class Ticket implements Waiting {
  readonly request: GatewayRequest;
  readonly lane: Lane;
  readonly tenant: string;
  readonly promptTokens: number;
  readonly expectedTokens: number;
  readonly sequences: number;
  readonly deadlineAtMs: number | undefined;
  order = 0;
  arrivedAtMs = 0;
  /** Undefined: it was not sent. */
  sentAtMs: number | undefined;
  /** Sequences under way when it was sent, its own included. */
  runningCount = 0;
  place: Place = first;
  waitsFor: string = '';
  /** Of one that waits. */
  turn: PromiseWithResolvers<void> | undefined;

  constructor({ request, promptTokens, expectedTokens, sequences }: TicketFacts) {
    this.request = request;
    this.lane = request.lane ?? 'realtime';
    this.tenant = request.tenant;
    this.promptTokens = promptTokens;
    this.expectedTokens = expectedTokens;
    this.sequences = sequences;
    this.deadlineAtMs = request.deadlineAtMs;
  }
}

const first: Place = { level: 0, rank: 0 };
