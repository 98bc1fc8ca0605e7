import { AutoglmError, toAutoglmError, type GatewayEvent, type GatewayRequest, type StreamPart } from '@open-autoglm/protocol';
import { partBytes } from './answer-entry.ts';
import { tellLookup, type Lookup } from './lookup.ts';

/** What a flight asks: the parts of the answer to this request, which is its leader's but for `signal` and `emit`. */
export type Compute = (request: GatewayRequest) => AsyncIterable<StreamPart>;

export interface FlightOptions {
  readonly compute: Compute;
  /**
   * A longer answer is not kept. From there on nobody joins any more, and who is so far behind the first reader is let go: the parts
   * between them are all that waits here.
   */
  readonly bytesMax: number;
  /** The whole answer, where it is not longer. */
  readonly onComplete: (parts: readonly StreamPart[]) => void;
  /** Nobody can join any more. Called once. */
  readonly onClosed: () => void;
}

type End = 'complete' | { readonly error: unknown };

/**
 * One computation for all who ask the same at the same time. Each reads at a pace of its own; the next part is asked for when the
 * fastest has taken the last one, so that a lone slow reader still slows the engine down, and a slow one beside a fast one holds nobody.
 *
 * The first who asks leads: the computation is done in its name, and what is stated of it is stated of its request. When the leader
 * leaves, the next one takes its place and the computation goes on; when the last one leaves it is aborted.
 */
export class Flight {
  readonly #options: FlightOptions;
  readonly #readers = new Set<FlightReader>();
  readonly #notes = new Map<string, unknown>();
  #abort = new AbortController();
  #iterator: AsyncIterator<StreamPart> | undefined;
  #parts: StreamPart[] = [];
  #sizes: number[] = [];
  /** Parts before those that are still here. */
  #dropped = 0;
  #bytes = 0;
  #isPulling = false;
  #isClosed = false;
  #end: End | undefined;
  /** Reads on, or reads again after a failure that need not repeat itself. */
  #leader: FlightReader | undefined;
  #firstLeader: FlightReader | undefined;
  #hasTriedAgain = false;
  #lookup: Lookup | undefined;
  #engine: (GatewayEvent & { type: 'engine-chosen' }) | undefined;

  constructor(options: FlightOptions) {
    this.#options = options;
  }

  /** Where the answer comes from, once it is known. */
  get lookup(): Lookup | undefined {
    return this.#lookup;
  }

  /** Who computes, once it is known. */
  get engine(): { readonly engine: string; readonly tier: string } | undefined {
    return this.#engine;
  }

  /** Only while it is open: the request finds the whole answer here. */
  join(request: GatewayRequest): FlightReader {
    const reader = new FlightReader(this, request);
    this.#readers.add(reader);
    if (!this.#leader) this.#leader = this.#firstLeader = reader;
    else this.#bringUpToDate(reader);
    reader.begin();
    return reader;
  }

  /** Nobody joins any more, and the answer is not kept. */
  disown(): void {
    this.#close();
  }

  /** Where the answer comes from. The others share it. */
  state(lookup: Lookup): void {
    this.#lookup = lookup;
    for (const reader of this.#readers) this.#tellLookup(reader);
  }

  /** Whether the computation began in its name: then its time is the computation's. */
  isBegunBy(reader: FlightReader): boolean {
    return reader === this.#firstLeader;
  }

  /** What the reader may take now: a part, the end, or nothing yet. */
  takeFor(reader: FlightReader): IteratorResult<StreamPart> | undefined {
    const part = this.#parts[reader.taken - this.#dropped];
    if (part) {
      reader.bytesTaken += this.#sizes[reader.taken - this.#dropped] as number;
      reader.taken += 1;
      return { value: part, done: false };
    }
    if (!this.#end) return undefined;
    this.leave(reader);
    if (this.#end !== 'complete') throw this.#end.error;
    return { value: undefined, done: true };
  }

  /** A reader has taken all there is. */
  pull(): void {
    if (this.#isPulling || this.#end) return;
    this.#isPulling = true;
    this.#next().then(
      (result) => this.#onResult(result),
      (error: unknown) => this.#onError(error),
    );
  }

  /** Idempotent. The last one ends the computation, for the reason that it leaves for. */
  leave(reader: FlightReader, reason: unknown = new Error('the reader left')): void {
    if (!this.#readers.delete(reader)) return;
    if (this.#readers.size === 0 && !this.#end) {
      this.#settle({ error: reason });
      this.#abort.abort(reason);
      // Nobody is left to hear how it ended.
      this.#iterator?.return?.().catch(() => {});
    } else if (reader === this.#leader) {
      [this.#leader] = this.#readers;
    }
    if (this.#isClosed) this.#trim();
  }

  #next(): Promise<IteratorResult<StreamPart>> {
    return this.#iterator ? this.#iterator.next() : this.#first();
  }

  async #first(): Promise<IteratorResult<StreamPart>> {
    this.#iterator = this.#begin();
    return this.#iterator.next();
  }

  #begin(): AsyncIterator<StreamPart> {
    const { request } = this.#leader as FlightReader;
    return this.#options.compute({ ...request, signal: this.#abort.signal, emit: (event) => this.#tell(event) })[Symbol.asyncIterator]();
  }

  #onResult(result: IteratorResult<StreamPart>): void {
    this.#isPulling = false;
    if (this.#end) return;
    if (result.done) {
      const parts = this.#isClosed ? undefined : this.#parts;
      this.#settle('complete');
      if (parts) this.#options.onComplete(parts);
    } else {
      this.#add(result.value);
    }
    this.#wake();
  }

  #add(part: StreamPart): void {
    const bytes = partBytes(part);
    this.#parts.push(part);
    this.#sizes.push(bytes);
    this.#bytes += bytes;
    if (this.#bytes <= this.#options.bytesMax) return;
    this.#close();
    this.#letSlowOnesGo();
    this.#trim();
  }

  #onError(error: unknown): void {
    this.#isPulling = false;
    if (this.#end) return;
    if (this.#mayTryAgain(error)) return this.#tryAgain(error);
    this.#settle({ error });
    this.#wake();
  }

  /**
   * What is wrong with the request is wrong with all of them. What befell the leader's try may not befall another, so where nothing has
   * come yet the others get one more try, once: after that the failure is everybody's. A deadline was the leader's alone.
   */
  #mayTryAgain(error: unknown): boolean {
    const others = this.#readers.size - Number(this.#firstLeader !== undefined && this.#readers.has(this.#firstLeader));
    if (this.#dropped + this.#parts.length > 0 || others === 0) return false;
    return isLeadersOwn(error) || (toAutoglmError(error).retryable && !this.#hasTriedAgain);
  }

  #tryAgain(error: unknown): void {
    // It was computed for the first one, though another may lead since that one left.
    const failed = this.#firstLeader as FlightReader;
    this.#hasTriedAgain ||= !isLeadersOwn(error);
    this.#iterator = undefined;
    this.#abort = new AbortController();
    if (this.#readers.delete(failed)) failed.fail(error);
    [this.#leader] = this.#readers;
    this.#firstLeader = this.#leader;
    this.pull();
  }

  #settle(end: End): void {
    this.#end = end;
    this.#close();
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#options.onClosed();
  }

  #wake(): void {
    for (const reader of this.#readers) reader.wake();
  }

  #letSlowOnesGo(): void {
    for (const reader of this.#readers) {
      if (this.#bytes - reader.bytesTaken <= this.#options.bytesMax || reader.isWaiting) continue;
      this.leave(reader);
      reader.fail(new AutoglmError('request_timeout', 'The answer was read too slowly, while others read on.'));
    }
  }

  /** Nobody joins any more: what all have taken is not needed. */
  #trim(): void {
    let least = Infinity;
    for (const { taken } of this.#readers) least = Math.min(least, taken);
    const count = Math.min(this.#parts.length, Math.max(0, least - this.#dropped));
    if (count === 0) return;
    this.#parts = this.#parts.slice(count);
    this.#sizes = this.#sizes.slice(count);
    this.#dropped += count;
  }

  /** What concerns the answer is told to everybody, the rest to the leader: its time is where the computation's is. */
  #tell(event: GatewayEvent): void {
    if (event.type === 'engine-chosen' || event.type === 'answer-note') {
      if (event.type === 'engine-chosen') this.#engine = event;
      else this.#notes.set(event.name, event.value);
      for (const reader of this.#readers) reader.request.emit(event);
    } else if (event.type !== 'segment-end' || this.#leader === this.#firstLeader) {
      this.#leader?.request.emit(event);
    }
  }

  #tellLookup(reader: FlightReader): void {
    const lookup = this.#lookup;
    if (!lookup) return;
    const isShared = lookup.result === 'miss' && !this.isBegunBy(reader);
    tellLookup(reader.request.emit, isShared ? { ...lookup, result: 'inflight' } : lookup);
  }

  #bringUpToDate(reader: FlightReader): void {
    const { request } = reader;
    this.#tellLookup(reader);
    if (this.#engine) request.emit(this.#engine);
    for (const [name, value] of this.#notes) request.emit({ type: 'answer-note', name, value });
  }
}

/** Another request may have more time. */
function isLeadersOwn(error: unknown): boolean {
  const { code } = toAutoglmError(error);
  return code === 'deadline_unreachable' || code === 'deadline_exceeded';
}

interface Waiting extends PromiseWithResolvers<IteratorResult<StreamPart>> {
  readonly sinceMs: number;
}

/** One request's way through the parts of a flight. */
export class FlightReader implements AsyncIterableIterator<StreamPart> {
  readonly request: GatewayRequest;
  readonly #flight: Flight;
  readonly #onAbort = () => this.#leaveFor(this.request.signal.reason);
  /** The flight's books. */
  taken = 0;
  bytesTaken = 0;
  #waiting: Waiting | undefined;
  #end: End | undefined;

  constructor(flight: Flight, request: GatewayRequest) {
    this.#flight = flight;
    this.request = request;
  }

  /** It has joined. */
  begin(): void {
    const { signal } = this.request;
    signal.addEventListener('abort', this.#onAbort, { once: true });
    if (signal.aborted) this.#onAbort();
  }

  get isWaiting(): boolean {
    return this.#waiting !== undefined;
  }

  next(): Promise<IteratorResult<StreamPart>> {
    if (this.#end) return this.#ended();
    try {
      const taken = this.#take();
      if (taken) return Promise.resolve(taken);
    } catch (error) {
      return Promise.reject(error as Error);
    }
    const waiting = { ...Promise.withResolvers<IteratorResult<StreamPart>>(), sinceMs: performance.now() };
    this.#waiting = waiting;
    this.#flight.pull();
    return waiting.promise;
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    this.#settle('complete');
    this.#flight.leave(this);
    this.#takeWaiting()?.resolve({ value: undefined, done: true });
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** There may be something for who waits. */
  wake(): void {
    if (!this.#waiting) return;
    try {
      const taken = this.#take();
      if (taken) this.#takeWaiting()?.resolve(taken);
    } catch (error) {
      this.#takeWaiting()?.reject(error);
    }
  }

  /** The flight goes on without it. */
  fail(error: unknown): void {
    const waiting = this.#takeWaiting();
    this.#settle(waiting ? 'complete' : { error });
    waiting?.reject(error);
  }

  #take(): IteratorResult<StreamPart> | undefined {
    try {
      const taken = this.#flight.takeFor(this);
      if (taken?.done) this.#settle('complete');
      return taken;
    } catch (error) {
      this.#settle('complete');
      throw error;
    }
  }

  /** Who waits for what another computes has that time in the cache. */
  #takeWaiting(): Waiting | undefined {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting && !this.#flight.isBegunBy(this)) {
      this.request.emit({ type: 'segment-end', segment: 'cache', durationMs: performance.now() - waiting.sinceMs, reason: 'inflight' });
    }
    return waiting;
  }

  #leaveFor(reason: unknown): void {
    this.#flight.leave(this, reason);
    this.fail(reason);
  }

  #ended(): Promise<IteratorResult<StreamPart>> {
    const end = this.#end as End;
    this.#end = 'complete';
    return end === 'complete' ? Promise.resolve({ value: undefined, done: true }) : Promise.reject(end.error as Error);
  }

  #settle(end: End): void {
    this.#end ??= end;
    this.request.signal.removeEventListener('abort', this.#onAbort);
  }
}
