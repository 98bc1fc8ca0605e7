import type { GatewayRequest, Next, Stage, StreamPart } from '@open-autoglm/protocol';
import { deferred } from '../common/deferred.ts';
import type { ModelIdentity } from '../common/model-catalog.ts';
import { notCached } from '../common/not-cached.ts';
import { entryBytes, formOf, toReplayed, whyNotKept, type AnswerEntry } from './answer-entry.ts';
import { AnswerStore, type AnswerSlot, type FoundAnswer } from './answer-store.ts';
import { cacheUse } from './cache-use.ts';
import { Flight } from './flight.ts';
import { freshness, lifetime } from './freshness.ts';
import type { CacheLevel } from './levels/level.ts';
import { tellLookup, type Lookup } from './lookup.ts';
import type { NearAnswers, Question } from './near-answers.ts';
import { Refreshes } from './refreshes.ts';
import { Replay } from './replay.ts';
import { requestKey } from './request-key.ts';

export interface ResponseCacheSettings {
  readonly ttlMs: number;
  readonly jitter: number;
  readonly staleMs: number;
  /** XFetch's; 0: none is computed anew before its end. */
  readonly earlyRefresh: number;
  /** Of all answers in memory. */
  readonly maxBytes: number;
  /** Of one; a longer one is not kept. */
  readonly maxEntryBytes: number;
  /** Answers computed anew at one time, while the old ones are given. */
  readonly maxRefreshes: number;
}

export interface ResponseCacheParts extends ResponseCacheSettings {
  readonly identify: (model: string) => ModelIdentity | undefined;
  readonly shared?: CacheLevel<AnswerEntry> | undefined;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** 0 … 1. */
  readonly random: () => number;
}

/** A request, what it asks, and who would compute it. */
interface Asking extends Question {
  readonly next: Next;
}

/**
 * The stage that knows answers. In front of the engines: what it answers costs no token, and waits in no queue.
 *
 *   the request does not want it, or wants an answer of its own  → off
 *   this process has it → exact; near its end, or shortly after it, it is computed anew beside that
 *   the same is being computed                                   → inflight
 *   Redis has it; a similar question was answered                → exact; semantic
 *   else it is computed, given to all who ask meanwhile, and kept → miss
 */
export class ResponseCache {
  readonly store: AnswerStore;
  readonly refreshes: Refreshes;
  readonly #parts: ResponseCacheParts;
  readonly #flights = new Map<string, Flight>();
  /** Computations that nobody joins, and their keys. */
  readonly #alone = new Map<Flight, string>();
  #near: NearAnswers | undefined;
  /** Answers that were in memory when they were revoked, here or elsewhere. */
  revoked = 0;

  constructor(parts: ResponseCacheParts) {
    this.#parts = parts;
    this.store = new AnswerStore(parts);
    this.refreshes = new Refreshes(parts.maxRefreshes, parts.now);
  }

  readonly stage: Stage = (request, next) => ({ [Symbol.asyncIterator]: () => this.#answer(request, next) });

  /** Who is asked for answers of similar questions from now on. */
  watchWith(near: NearAnswers): void {
    this.#near = near;
  }

  /** Computations that are under way, and may be joined. */
  get flightCount(): number {
    return this.#flights.size;
  }

  /** Of this tenant; undefined where there is none of its own. */
  async find(key: string, tenant: string): Promise<FoundAnswer | undefined> {
    const found = await this.store.find(key);
    return found?.slot.entry.tenant === tenant ? found : undefined;
  }

  async #require(key: string, tenant: string): Promise<FoundAnswer | undefined> {
    const found = await this.store.require(key);
    return found?.slot.entry.tenant === tenant ? found : undefined;
  }

  /** What is told of an answer to who may have it. Rejects where a level cannot be reached. */
  async describe(key: string, tenant: string) {
    const found = await this.#require(key, tenant);
    if (!found) return undefined;
    const { level, slot } = found;
    const { model, engine, tier, keptAtMs, expiresAtMs, computeMs, parts } = slot.entry;
    const ends = parts.filter((part) => part.type === 'text-end');
    return {
      model,
      engine,
      tier,
      level,
      keptAtMs,
      expiresAtMs,
      computeMs,
      bytes: entryBytes(slot.entry),
      hits: slot.hits,
      completionTokens: ends.reduce((sum, { completionTokens }) => sum + completionTokens, 0),
      finishReasons: ends.map(({ finishReason }) => finishReason),
    };
  }

  /**
   * Whether there was one of this tenant's. From then on nobody gets it, nor what is being computed in its place. Rejects where a level
   * cannot be reached: where it was found, it is gone from there as soon as it can be.
   */
  async revoke(key: string, tenant: string): Promise<boolean> {
    if (!(await this.#require(key, tenant))) return false;
    this.forget(key);
    await this.store.revoke(key);
    return true;
  }

  /** It was revoked, here or by another process: this one must not give it any more. */
  forget(key: string): void {
    if (this.store.forget(key)) this.revoked += 1;
    for (const [flightKey, flight] of this.#flights) if (flightKey.startsWith(key)) flight.disown();
    for (const [flight, computed] of this.#alone) if (computed === key) flight.disown();
    this.#near?.onRevoked(key);
  }

  /** Ends what is computed without anybody waiting for it. */
  close(): void {
    this.refreshes.close();
  }

  #answer(request: GatewayRequest, next: Next): AsyncIterator<StreamPart> {
    const startedAtMs = performance.now();
    const { use, reason } = cacheUse(request.cache, request.sampling);
    if (use === 'off') return this.#pass(request, next, reason);
    const identity = this.#parts.identify(request.model);
    if (!identity) return this.#pass(request, next, 'the model is not known yet');
    const asking: Asking = { key: requestKey(request, identity), identity, request, next };
    if (use === 'refresh') return this.#computeAnew(asking);
    const slot = this.store.memory.get(asking.key);
    const lookup = slot && this.#judge(asking, slot, 'memory');
    if (slot && lookup) {
      request.emit({ type: 'segment-end', segment: 'cache', durationMs: performance.now() - startedAtMs, reason: 'memory' });
      return this.#give(asking, slot, lookup);
    }
    return request.cache?.onlyIfCached ? this.#findOnly(asking) : this.#share(asking);
  }

  #pass(request: GatewayRequest, next: Next, reason: string): AsyncIterator<StreamPart> {
    if (request.cache?.onlyIfCached) throw notCached(reason);
    request.emit({ type: 'cache-lookup', result: 'off', reason });
    return next(request)[Symbol.asyncIterator]();
  }

  /** What is told of an answer that the request may have; undefined: it may not. */
  #judge({ key, request, next, identity }: Asking, slot: AnswerSlot, level: FoundAnswer['level']): Lookup | undefined {
    const { entry } = slot;
    const nowMs = this.#parts.now();
    // The key holds the tenant; an entry that says otherwise did not come from here.
    if (entry.tenant !== request.tenant || (entry.form !== 'any' && entry.form !== (request.stream ? 'stream' : 'whole'))) return undefined;
    const fresh = freshness(entry, nowMs, this.#parts.earlyRefresh, this.#parts.random(), request.cache);
    if (fresh === 'unfit') return undefined;
    if (fresh !== 'fresh') this.#refresh({ key, request, next, identity }, slot);
    slot.hits += 1;
    return {
      result: 'exact',
      key,
      level,
      ageMs: nowMs - entry.keptAtMs,
      ...(fresh === 'stale' && { reason: 'stale, while it is computed anew' }),
    };
  }

  #give(asking: Asking, slot: AnswerSlot, lookup: Lookup): AsyncIterator<StreamPart> {
    const { request } = asking;
    tellLookup(request.emit, lookup);
    this.#near?.onAsked(asking, lookup.result);
    return new Replay(slot.parts(request.stream), request.signal);
  }

  #findOnly(asking: Asking): AsyncIterator<StreamPart> {
    const found = deferred(async () => {
      const elsewhere = await this.#findElsewhere(asking, asking.request);
      if (!elsewhere) throw notCached('no answer is at hand');
      return { [Symbol.asyncIterator]: () => this.#give(asking, elsewhere.slot, elsewhere.lookup) };
    });
    return found[Symbol.asyncIterator]();
  }

  #share(asking: Asking): AsyncIterator<StreamPart> {
    const flightKey = flightKeyOf(asking);
    const flight = this.#flights.get(flightKey) ?? this.#begin(asking, flightKey);
    return flight.join(asking.request);
  }

  #begin(asking: Asking, flightKey: string): Flight {
    const flight = this.#openFlight(
      asking,
      (request) => this.#findOrCompute(asking, request, flight),
      () => {
        if (this.#flights.get(flightKey) === flight) this.#flights.delete(flightKey);
      },
    );
    this.#flights.set(flightKey, flight);
    return flight;
  }

  #computeAnew(asking: Asking): AsyncIterator<StreamPart> {
    if (asking.request.cache?.onlyIfCached) throw notCached('it wants it computed anew');
    const flight = this.#openFlight(
      asking,
      (request) => this.#compute(asking, request, flight),
      () => this.#alone.delete(flight),
    );
    this.#alone.set(flight, asking.key);
    return flight.join(asking.request);
  }

  #openFlight(asking: Asking, compute: (request: GatewayRequest) => AsyncIterable<StreamPart>, onClosed: () => void): Flight {
    const startedAtMs = performance.now();
    const flight: Flight = new Flight({
      compute,
      onClosed,
      bytesMax: this.#parts.maxEntryBytes,
      onComplete: (parts) => {
        if (flight.lookup?.result === 'miss') this.#keep(asking, parts, flight, performance.now() - startedAtMs);
      },
    });
    return flight;
  }

  #findOrCompute(asking: Asking, request: GatewayRequest, flight: Flight): AsyncIterable<StreamPart> {
    if (!this.store.shared && !this.#near) return this.#compute(asking, request, flight);
    return deferred(async () => {
      const found = await this.#findElsewhere(asking, request);
      request.signal.throwIfAborted();
      if (!found) return this.#compute(asking, request, flight);
      flight.state(found.lookup);
      this.#near?.onAsked(asking, found.lookup.result);
      return new Replay(found.slot.entry.parts, request.signal);
    });
  }

  #compute(asking: Asking, request: GatewayRequest, flight: Flight): AsyncIterable<StreamPart> {
    flight.state({ result: 'miss', key: asking.key });
    this.#near?.onAsked(asking, 'miss');
    return asking.next(request);
  }

  /** What is not in this process's memory. */
  async #findElsewhere(
    asking: Asking,
    { signal, emit }: GatewayRequest,
  ): Promise<{ readonly slot: AnswerSlot; readonly lookup: Lookup } | undefined> {
    const startedAtMs = performance.now();
    try {
      const shared = await this.store.findShared(asking.key);
      const lookup = shared && this.#judge(asking, shared.slot, shared.level);
      return shared && lookup ? { slot: shared.slot, lookup } : await this.#findNear(asking, signal);
    } finally {
      emit({ type: 'segment-end', segment: 'cache', durationMs: performance.now() - startedAtMs, reason: 'lookup' });
    }
  }

  async #findNear(asking: Asking, signal: AbortSignal): Promise<{ readonly slot: AnswerSlot; readonly lookup: Lookup } | undefined> {
    const near = await this.#near?.find(asking, signal).catch(() => undefined);
    if (!near) return undefined;
    const found = await this.find(near.key, asking.request.tenant);
    // A similar question's answer is computed anew by those who ask that question.
    const lookup =
      found && freshness(found.slot.entry, this.#parts.now(), 0, 1, asking.request.cache) === 'fresh'
        ? this.#judge(asking, found.slot, found.level)
        : undefined;
    return found && lookup ? { slot: found.slot, lookup: { ...lookup, result: 'semantic', key: near.key, more: near.more } } : undefined;
  }

  #keep(asking: Asking, parts: readonly StreamPart[], flight: Flight, computeMs: number): void {
    const { request, key, identity } = asking;
    if (whyNotKept(parts, choiceCountOf(request)) !== undefined) return;
    const { jitter, staleMs, now, random, maxEntryBytes } = this.#parts;
    const ttlMs = request.cache?.ttlSeconds === undefined ? this.#parts.ttlMs : request.cache.ttlSeconds * 1000;
    const entry: AnswerEntry = {
      tenant: request.tenant,
      model: identity.name,
      engine: flight.engine?.engine,
      tier: flight.engine?.tier,
      form: formOf(parts, request.stream),
      parts: parts.map(toReplayed),
      ...lifetime(now(), computeMs, { ttlMs, jitter, staleMs }, random()),
    };
    if (entryBytes(entry) > maxEntryBytes) return;
    this.store.keep(key, entry);
    this.#near?.onKept(asking, entry);
  }

  #refresh(asking: Asking, slot: AnswerSlot): void {
    const flightKey = flightKeyOf(asking);
    if (this.#flights.has(flightKey)) return;
    this.refreshes.begin(slot, (signal) => {
      const request: GatewayRequest = {
        ...asking.request,
        id: `${asking.request.id}-refresh`,
        traceContext: undefined,
        deadlineAtMs: undefined,
        signal,
        emit: () => {},
      };
      const again: Asking = { ...asking, request };
      const flight = this.#openFlight(
        again,
        (computed) => this.#compute(again, computed, flight),
        () => {
          if (this.#flights.get(flightKey) === flight) this.#flights.delete(flightKey);
        },
      );
      this.#flights.set(flightKey, flight);
      return flight.join(request);
    });
  }
}

/**
 * Requests of one flight want the same answer, kept for as long, and take the same for it. A stream waits for no answer that comes whole,
 * and nobody for the batch lane who is not in it.
 */
function flightKeyOf({ key, identity, request: { stream, cache, lane } }: Question): string {
  const form = `${identity.takesPrompts ? '' : stream ? 's' : 'w'}${lane === 'batch' ? 'b' : ''}`;
  if (!cache) return key + form;
  return `${key}${form} ${cache.ttlSeconds ?? ''} ${cache.maxAgeSeconds ?? ''} ${cache.minFreshSeconds ?? ''}`;
}

function choiceCountOf({ input, choiceCount }: GatewayRequest): number {
  return (input.kind === 'chat' ? 1 : input.prompts.length) * choiceCount;
}
