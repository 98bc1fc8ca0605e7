import { ApiError } from './errors.ts';
import { backoffMs } from './retry.ts';
import type { Transport } from './transport.ts';

export interface TrackerOptions {
  /** Events are added up for so long before they are sent. */
  readonly windowMs?: number;
  /** So many events are sent before the window is over. */
  readonly eventsMax?: number;
  /** Told of sums that the server will never take, with what it said. */
  readonly onRefused?: (error: ApiError, events: readonly TrackedSum[]) => void;
}

export interface TrackedSum {
  readonly name: string;
  readonly count: number;
  readonly sum: number;
}

interface Batch {
  readonly sequence: number;
  readonly events: readonly TrackedSum[];
  readonly bytes: number;
}

export interface TrackerParts {
  readonly transport: Transport;
  /** Tells this tracker from all others. */
  readonly clientId: string;
  readonly random: () => number;
  readonly timers: Timers;
}

/** Calls back after so many ms, unless cancelled; does not keep the process alive. */
export interface Timers {
  set(callback: () => void, ms: number): () => void;
}

/** Names that are told apart between two batches; the rest are added up as `other`. */
const namesMax = 500;
/** Bytes of a batch's events, and of the batches of one request, as JSON: browsers send no more than 64 KiB for a page that is gone. */
const [batchBytesMax, requestBytesMax] = [28 * 1024, 60 * 1024];
/** Batches that wait for an answer at once, about; a page that is hidden and shown without a connection goes on adding up beyond that. */
const sealedMax = 16;
/** The answers to these say that the same request will never be taken. */
const refusals: ReadonlySet<number> = new Set([400, 413, 415, 422]);
/** Names must fit the server's, so that no batch is refused for one of them. */
const validName = /^[\w.:/-]{1,128}$/;

/**
 * Adds events up and sends the sums, a batch at a time: numbered, in order, and the same until the server has answered that it has
 * them. A server that gets one twice knows it by its number. While one is on its way events go on adding up, so what waits is bounded
 * by their names, however long the connection is away.
 */
export class Tracker {
  readonly #parts: TrackerParts;
  readonly #windowMs: number;
  readonly #eventsMax: number;
  readonly #onRefused: NonNullable<TrackerOptions['onRefused']>;
  #open = new Map<string, { count: number; sum: number }>();
  #openCount = 0;
  /** Not answered yet: one, and another for each time the page went away meanwhile. */
  #sealed: Batch[] = [];
  /**
   * Batches that are sent together, within the bytes of a request: halved when those were refused, so that one bad batch takes no other
   * with it.
   */
  #togetherMax = sealedMax;
  #sequence = 0;
  #failures = 0;
  #cancelTimer: (() => void) | undefined;
  #sending: Promise<void> | undefined;

  constructor(parts: TrackerParts, { windowMs = 10_000, eventsMax = 1000, onRefused = () => {} }: TrackerOptions = {}) {
    this.#parts = parts;
    this.#windowMs = windowMs;
    this.#eventsMax = eventsMax;
    this.#onRefused = onRefused;
  }

  /** Whether everything that was tracked is known to be counted. */
  get isEmpty(): boolean {
    return this.#openCount === 0 && this.#sealed.length === 0;
  }

  /** Counts an event, and adds its value to those of its name. Throws `TypeError` for what is no name, or no value from 0 up. */
  track(name: string, value = 0): void {
    if (!validName.test(name))
      throw new TypeError(`${JSON.stringify(name)} is no name of an event: letters, digits and . : / _ -, up to 128 of them.`);
    if (!(value >= 0 && value <= 1e9)) throw new TypeError(`An event's value must be a number from 0 to 10^9, not ${value}.`);
    const key = this.#open.has(name) || this.#open.size < namesMax ? name : 'other';
    const total = this.#open.get(key) ?? { count: 0, sum: 0 };
    this.#open.set(key, { count: total.count + 1, sum: total.sum + value });
    this.#openCount += 1;
    if (this.#openCount >= this.#eventsMax && this.#failures === 0) this.#send().catch(() => {});
    else this.#schedule(this.#windowMs);
  }

  /**
   * Resolves when everything tracked until now is counted; rejects with what the first try failed with, and goes on trying by itself then.
   */
  async flush(): Promise<void> {
    await this.#sending?.catch(() => {});
    while (!this.isEmpty) await this.#send();
  }

  /**
   * Sends what one request holds without waiting for anything: the page may be gone at the next moment. It is the oldest, as a server
   * takes batches in order only; nothing is lost where the page comes back.
   */
  leave(): void {
    if (this.#sealed.length < sealedMax) this.#seal();
    if (this.#sealed.length > 0) this.#deliver(true).catch(() => {});
  }

  /** Counts no longer by itself. */
  close(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  #schedule(ms: number): void {
    this.#cancelTimer ??= this.#parts.timers.set(() => {
      this.#cancelTimer = undefined;
      this.#send().catch(() => {});
    }, ms);
  }

  /** One request at a time: the next batch is closed when the last was answered. */
  #send(): Promise<void> {
    if (this.#sealed.length === 0) this.#seal();
    return (this.#sending ??= this.#deliverAll().finally(() => (this.#sending = undefined)));
  }

  #seal(): void {
    let events: TrackedSum[] = [];
    let bytes = 0;
    const close = () => {
      if (events.length === 0) return;
      this.#sequence += 1;
      this.#sealed.push({ sequence: this.#sequence, events, bytes });
      [events, bytes] = [[], 0];
    };
    for (const [name, { count, sum }] of this.#open) {
      const event = { name, count, sum };
      // Names are ASCII.
      const { length } = JSON.stringify(event);
      if (bytes + length > batchBytesMax) close();
      events.push(event);
      bytes += length + 1;
    }
    close();
    this.#open = new Map();
    this.#openCount = 0;
  }

  /** The oldest batches that fit into one request. */
  #next(): readonly Batch[] {
    let bytes = 0;
    const end = this.#sealed.findIndex((batch) => (bytes += batch.bytes) > requestBytesMax);
    return this.#sealed.slice(0, Math.min(this.#togetherMax, end === -1 ? this.#sealed.length : Math.max(1, end)));
  }

  async #deliverAll(): Promise<void> {
    while (this.#sealed.length > 0) await this.#deliver(false);
  }

  /** One request; what the server will never take is given up, alone. */
  async #deliver(isLeaving: boolean): Promise<void> {
    const batches = this.#next();
    try {
      const body = { client_id: this.#parts.clientId, batches: batches.map(({ sequence, events }) => ({ sequence, events })) };
      await this.#parts.transport.ask({ method: 'POST', path: '/events', body, safety: 'repeatable', keepalive: isLeaving });
      this.#togetherMax = sealedMax;
      this.#forget(batches);
    } catch (error) {
      if (!(error instanceof ApiError && refusals.has(error.status))) {
        this.#failures += 1;
        this.#schedule(Math.max(this.#windowMs, backoffMs(this.#failures, this.#parts.random())));
        throw error;
      }
      if (batches.length > 1) {
        this.#togetherMax = batches.length >>> 1;
        // Who leaves sends once; if the page comes back, the halves follow.
        this.#schedule(this.#windowMs);
        return;
      }
      this.#forget(batches);
      this.#onRefused(
        error,
        batches.flatMap(({ events }) => events),
      );
    }
  }

  #forget(batches: readonly Batch[]): void {
    const last = batches.at(-1)?.sequence ?? 0;
    this.#failures = 0;
    this.#sealed = this.#sealed.filter(({ sequence }) => sequence > last);
    if (!this.isEmpty) this.#schedule(this.#windowMs);
  }
}
