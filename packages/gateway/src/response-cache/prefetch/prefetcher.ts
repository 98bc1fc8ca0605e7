import { hash } from 'node:crypto';
import type { GatewayEvent, GatewayRequest, Next, Stage, StreamPart } from '@open-autoglm/protocol';
import { FollowUps, type FollowUpOptions } from './follow-ups.ts';
import { TokenBudget } from './token-budget.ts';

export interface PrefetchSettings extends FollowUpOptions {
  readonly tokensPerMinute: number;
  /** Nothing must have run for so long. */
  readonly idleMs: number;
}

export interface PrefetchParts extends PrefetchSettings {
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Returns how to cancel it. */
  readonly schedule: (callback: () => void, delayMs: number) => () => void;
}

/** Counted since the start. */
export interface PrefetchCounts {
  /** Answers that were computed ahead. */
  computed: number;
  /** Of these, asked for in time. */
  used: number;
  /** Of these, nobody asked for in time. */
  wasted: number;
  /** Given up: real work came. */
  cancelled: number;
  failed: number;
  /** Not begun: it was known already, expected no more, or there were too many. */
  skipped: number;
  /** Tokens of what was computed or given up. */
  tokens: number;
}

/** Computes an answer ahead of being asked; resolves with the key that it is kept by, if it is. Tokens are told as they come. */
type Compute = (signal: AbortSignal, onPart: (part: StreamPart) => void) => Promise<string | undefined>;

interface Job {
  /** Undefined: it is not known before it is asked. */
  readonly key: string | undefined;
  readonly queuedAtMs: number;
  readonly compute: Compute;
}

/** Jobs that wait. */
const jobsMax = 64;
/** A follow-up that was not asked for by then comes no more. */
const jobMsMax = 120_000;
/** Clients whose last request is remembered. */
const clientsMax = 4096;
/** Requests of a client that are so far apart have nothing to do with each other. */
const gapMsMax = 300_000;
/** Larger ones are not remembered as followers. */
const requestBytesMax = 64 * 1024;
/** Answers computed ahead that wait for being asked for; and for how long one can be of use. */
const aheadMax = 4096;

/**
 * Computes what will probably be asked next, while nothing else runs. The stage stands before the cache: it sees what follows upon what,
 * and what it asks of the stages below it is kept there as any other answer is. One at a time, within a budget of tokens, given up at
 * once when somebody asks.
 */
export class Prefetcher {
  readonly counts: PrefetchCounts = { computed: 0, used: 0, wasted: 0, cancelled: 0, failed: 0, skipped: 0, tokens: 0 };
  readonly #parts: PrefetchParts;
  readonly #followUps: FollowUps<GatewayRequest>;
  readonly #budget: TokenBudget;
  readonly #lastOf = new Map<string, { readonly key: string; readonly atMs: number }>();
  /** By the key of the answer: until when it can be of use. */
  readonly #ahead = new Map<string, number>();
  readonly #ttlMs: number;
  #jobs: Job[] = [];
  #running: AbortController | undefined;
  #cancelTimer = () => {};
  #active = 0;
  #isClosed = false;
  #isOwn = (_request: GatewayRequest): boolean => false;

  /** `ttlMs`: how long answers are kept. */
  constructor(parts: PrefetchParts, ttlMs: number) {
    this.#parts = parts;
    this.#ttlMs = ttlMs;
    this.#followUps = new FollowUps(parts);
    this.#budget = new TokenBudget(parts.tokensPerMinute, parts.now);
  }

  readonly stage: Stage = (request, next) => (this.#isOwn(request) ? next(request) : this.#watch(request, next));

  /** Tells requests that were made here from others; they count as no work. */
  recogniseBy(isOwn: (request: GatewayRequest) => boolean): void {
    this.#isOwn = isOwn;
  }

  /** To be computed when there is time. */
  add(compute: Compute, key?: string): void {
    if (this.#isClosed) return;
    if (this.#jobs.length >= jobsMax) {
      this.#jobs.shift();
      this.counts.skipped += 1;
    }
    this.#jobs.push({ key, queuedAtMs: this.#parts.now(), compute });
    this.#wait();
  }

  /** Ends what runs, and begins nothing more. */
  close(): void {
    this.#isClosed = true;
    this.#jobs = [];
    this.#cancelTimer();
    this.#running?.abort(new Error('the server is shutting down'));
  }

  /** The request's parts, unchanged, while it is known that it runs. */
  async *#watch(request: GatewayRequest, next: Next): AsyncGenerator<StreamPart> {
    this.#active += 1;
    this.#cancelTimer();
    this.#running?.abort(new Error('real work came'));
    const emit = (event: GatewayEvent) => {
      request.emit(event);
      const answer =
        event.type === 'answer-note' && event.name === 'cache'
          ? (event.value as { readonly result: string; readonly key: string })
          : undefined;
      if (answer && answer.result !== 'semantic') this.#onAsked(answer.key, request, next);
    };
    try {
      yield* next({ ...request, emit });
    } finally {
      this.#active -= 1;
      this.#wait();
    }
  }

  #onAsked(key: string, request: GatewayRequest, next: Next): void {
    const nowMs = this.#parts.now();
    const goodUntilMs = this.#ahead.get(key);
    this.#ahead.delete(key);
    if (goodUntilMs !== undefined) {
      this.counts[nowMs < goodUntilMs ? 'used' : 'wasted'] += 1;
      if (nowMs < goodUntilMs) request.emit({ type: 'answer-note', name: 'prefetched', value: true });
    }
    this.#learn(key, request, nowMs);
    for (const { key: expected, request: follower } of this.#followUps.expected(key)) {
      if (this.#ahead.has(expected) || this.#jobs.some((job) => job.key === expected)) continue;
      this.add((signal, onPart) => computeAhead(follower, next, signal, onPart), expected);
    }
  }

  /** What this client asked before is followed by this. */
  #learn(key: string, request: GatewayRequest, nowMs: number): void {
    const { tenant, client } = request;
    const who = client?.session ?? client?.address;
    if (who === undefined) return;
    // Of one length, however long the client's own name for it is.
    const name = hash('sha256', JSON.stringify([tenant, who]), 'base64url');
    const last = this.#lastOf.get(name);
    this.#lastOf.delete(name);
    this.#lastOf.set(name, { key, atMs: nowMs });
    if (this.#lastOf.size > clientsMax) this.#lastOf.delete(this.#lastOf.keys().next().value as string);
    if (!last || last.key === key || nowMs - last.atMs > gapMsMax || !mayBeAhead(request)) return;
    // Neither the connection nor the body is held on to; a body that other servers want word by word is. Its deadline was this request's
    // alone.
    const kept: GatewayRequest = {
      ...request,
      emit: () => {},
      signal: neverAborted,
      traceContext: undefined,
      deadlineAtMs: undefined,
      stream: request.body !== undefined && request.stream,
    };
    // Everything that it keeps: a schema or a list of biases may be larger than what is asked. What was read of a body is the rest once
    // more.
    const bytes = JSON.stringify([{ ...kept, body: undefined }, kept.body?.fields]).length * 2;
    if (bytes <= requestBytesMax) this.#followUps.observe(last.key, { key, request: kept, bytes });
  }

  #wait(): void {
    this.#cancelTimer();
    if (this.#isClosed || this.#active > 0 || this.#running || this.#jobs.length === 0) return;
    const { left } = this.#budget;
    const forTokensMs = left > 0 ? 0 : ((1 - left) / this.#parts.tokensPerMinute) * 60_000;
    this.#cancelTimer = this.#parts.schedule(() => void this.#run(), Math.max(this.#parts.idleMs, forTokensMs));
  }

  async #run(): Promise<void> {
    this.#sweep();
    const job = this.#takeJob();
    if (!job || this.#active > 0 || this.#running) return;
    const abort = new AbortController();
    this.#running = abort;
    try {
      const key = await job.compute(abort.signal, (part) => this.#spend(part, abort));
      abort.signal.throwIfAborted();
      if (key === undefined) this.counts.skipped += 1;
      else this.#onComputed(key);
    } catch {
      this.counts[abort.signal.aborted ? 'cancelled' : 'failed'] += 1;
    } finally {
      this.#running = undefined;
      this.#wait();
    }
  }

  #takeJob(): Job | undefined {
    const nowMs = this.#parts.now();
    const inTime = this.#jobs.filter(({ queuedAtMs }) => nowMs - queuedAtMs <= jobMsMax);
    this.counts.skipped += this.#jobs.length - inTime.length;
    // What was expected last is expected soonest.
    const job = inTime.pop();
    this.#jobs = inTime;
    return job;
  }

  #spend(part: StreamPart, abort: AbortController): void {
    const tokens = part.type === 'prompt-end' ? part.promptTokens - part.cachedTokens : part.type === 'text-delta' ? part.tokenCount : 0;
    this.counts.tokens += tokens;
    this.#budget.spend(tokens);
    // One answer may overspend by a minute's worth.
    if (this.#budget.left < -this.#parts.tokensPerMinute) abort.abort(new Error('the budget is spent'));
  }

  #onComputed(key: string): void {
    this.counts.computed += 1;
    this.#ahead.set(key, this.#parts.now() + this.#ttlMs);
    if (this.#ahead.size > aheadMax) this.#waste(this.#ahead.keys().next().value as string);
  }

  #sweep(): void {
    const nowMs = this.#parts.now();
    for (const [key, goodUntilMs] of this.#ahead) {
      if (goodUntilMs > nowMs) break;
      this.#waste(key);
    }
  }

  #waste(key: string): void {
    this.#ahead.delete(key);
    this.counts.wasted += 1;
  }
}

/** Who wants it computed anew is computed for again whatever is there; who wants nothing computed, not at all. */
function mayBeAhead({ cache }: GatewayRequest): boolean {
  return cache?.mode !== 'refresh' && cache?.maxAgeSeconds !== 0 && !cache?.onlyIfCached;
}

const neverAborted = new AbortController().signal;

/** Asks as the client did, in the lane that waits for others. Undefined: it was known already. */
async function computeAhead(
  request: GatewayRequest,
  next: Next,
  signal: AbortSignal,
  onPart: (part: StreamPart) => void,
): Promise<string | undefined> {
  let kept: { readonly result: string; readonly key: string } | undefined;
  const emit = (event: GatewayEvent) => {
    if (event.type === 'answer-note' && event.name === 'cache') kept = event.value as typeof kept;
  };
  for await (const part of next({ ...request, id: `${request.id}-ahead`, lane: 'batch', signal, emit }))
    if (kept?.result === 'miss') onPart(part);
  return kept?.result === 'miss' ? kept.key : undefined;
}
