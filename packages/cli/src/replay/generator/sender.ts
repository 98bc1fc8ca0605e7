import type { RequestOutcome } from '../outcome.ts';
import { Connections } from './connections.ts';
import { Exchange, type ExchangeEnd } from './exchange.ts';
import type { PreparedRequest, SenderTarget } from './prepared.ts';

export interface SenderOptions {
  readonly targets: readonly SenderTarget[];
  /** From sending to the end. */
  readonly timeoutMs: number;
  /** A request that is due when so many are under way is abandoned, for a client that waits would hide the server's slowness. */
  readonly inFlightMax: number;
  /** A target that has sent not one byte of any answer for so long since its first request ends the replay. */
  readonly silenceMaxMs: number;
  /** Milliseconds on a monotonic clock, from any origin that stays. */
  readonly now: () => number;
  /** On the same clock: when the bytes that are being read had come, at the latest. */
  readonly arrivedAt: () => number;
  /** Calls `wake` at the moment or a little after; a later call replaces an earlier one. */
  readonly setAlarm: (atMs: number) => void;
  readonly onOutcome: (outcome: RequestOutcome) => void;
}

export type SenderEnd = 'completed' | 'interrupted' | 'silent';

/**
 * Sends each request when it is due, whatever became of those before it: an open loop. Latencies count from that moment; what the sender itself is
 * late is within them, and reported. Whoever drives it calls `wake` at the alarm, and `check` several times a second.
 */
export class Sender {
  readonly #options: SenderOptions;
  readonly #connections: readonly Connections[];
  readonly #firstSentAtMs: (number | undefined)[] = [];
  readonly #hasAnswered: boolean[] = [];
  /** In the order of sending, which is that of their time limits. */
  readonly #inFlight = new Set<Exchange>();
  readonly #ended = Promise.withResolvers<SenderEnd>();
  #queue: PreparedRequest[] = [];
  #queueHead = 0;
  #hasBegun = false;
  #isComplete = false;
  #end: SenderEnd | undefined;
  #block = -1;
  #blockStartMs = 0;
  #inFlightPeak = 0;
  #connectionPeak = 0;

  constructor(options: SenderOptions) {
    this.#options = options;
    const connectTimeoutMs = Math.min(options.timeoutMs, 10_000);
    this.#connections = options.targets.map(({ url }) => new Connections({ origin: new URL(url).origin, connectTimeoutMs }));
  }

  /** Settles when every request that was added, and is due before the end, has its outcome, and all connections are closed. */
  get ended(): Promise<SenderEnd> {
    return this.#ended.promise;
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  get waiting(): number {
    return this.#queue.length - this.#queueHead;
  }

  get inFlightPeak(): number {
    return this.#inFlightPeak;
  }

  get connectionPeak(): number {
    return this.#connectionPeak;
  }

  /** The first block starts now. */
  begin(): void {
    this.#hasBegun = true;
    this.wake();
  }

  /** In the order in which they are due. */
  add(requests: readonly PreparedRequest[]): void {
    if (this.#end) return;
    for (const request of requests) this.#queue.push(request);
    this.wake();
  }

  /** There is nothing to add any more. */
  complete(): void {
    this.#isComplete = true;
    this.wake();
  }

  /** Sends nothing more, and gives up what is under way. */
  stop(end: SenderEnd = 'interrupted'): void {
    if (this.#end) return;
    const why = end === 'silent' ? 'the server answered nothing' : 'interrupted';
    this.#queue = [];
    this.#queueHead = 0;
    this.#end = end;
    for (const exchange of this.#inFlight) exchange.giveUp('abandoned', why);
    this.#finish();
  }

  /** Sends what is due. Cheap when nothing is. */
  wake(): void {
    while (this.#hasBegun && !this.#end) {
      const request = this.#queue[this.#queueHead];
      if (!request) {
        if (this.#isComplete && this.#inFlight.size === 0) {
          this.#end = 'completed';
          this.#finish();
        }
        return;
      }
      const nowMs = this.#options.now();
      if (request.block !== this.#block) {
        if (this.#inFlight.size > 0) return;
        this.#block = request.block;
        this.#blockStartMs = nowMs;
      }
      const dueAtMs = this.#blockStartMs + request.dueInBlockMs;
      if (dueAtMs > nowMs) {
        this.#options.setAlarm(dueAtMs);
        return;
      }
      this.#takeFromQueue();
      this.#send(request, dueAtMs, nowMs);
    }
  }

  /** Looks for those whose time is up. */
  check(): void {
    const nowMs = this.#options.now();
    for (const exchange of this.#inFlight) {
      if (exchange.sentAtMs + this.#options.timeoutMs > nowMs) break;
      exchange.giveUp('timed-out', `no end within ${this.#options.timeoutMs / 1000} s`);
    }
    const isSilent = this.#firstSentAtMs.some((firstSentAtMs, target) => firstSentAtMs !== undefined && !this.#hasAnswered[target] && nowMs - firstSentAtMs > this.#options.silenceMaxMs);
    if (isSilent) this.stop('silent');
  }

  #takeFromQueue(): void {
    this.#queueHead += 1;
    if (this.#queueHead < 1024 || this.#queueHead * 2 < this.#queue.length) return;
    this.#queue = this.#queue.slice(this.#queueHead);
    this.#queueHead = 0;
  }

  #send(request: PreparedRequest, dueAtMs: number, nowMs: number): void {
    const { inFlightMax, targets, onOutcome } = this.#options;
    const { index, target, slice, promptTokensWanted } = request;
    if (this.#inFlight.size >= inFlightMax) {
      const wanted = promptTokensWanted !== undefined && { promptTokensWanted };
      onOutcome({ index, target, slice, dueAtMs, endedAtMs: nowMs, chunkCount: 0, outputTokens: 0, ...wanted, outcome: 'abandoned', error: `${inFlightMax} requests were under way already` });
      return;
    }
    const connections = this.#connections[target] as Connections;
    const { url, headers } = targets[target] as SenderTarget;
    const connection = connections.take();
    const exchange = new Exchange({
      request, dueAtMs, sentAtMs: nowMs, now: this.#options.now, arrivedAt: this.#options.arrivedAt,
      onBytes: () => {
        this.#hasAnswered[target] = true;
      },
      onEnd: (end) => this.#onEnd(exchange, connections, connection, end),
    });
    this.#inFlight.add(exchange);
    this.#firstSentAtMs[target] ??= nowMs;
    this.#inFlightPeak = Math.max(this.#inFlightPeak, this.#inFlight.size);
    this.#connectionPeak = Math.max(this.#connectionPeak, this.#connections.reduce((sum, { count }) => sum + count, 0));
    connection.dispatch({ path: new URL(url).pathname.replace(/\/$/, '') + request.path, method: 'POST', headers, body: request.body }, exchange);
  }

  #onEnd(exchange: Exchange, connections: Connections, connection: ReturnType<Connections['take']>, { outcome, isConnectionWhole }: ExchangeEnd): void {
    this.#inFlight.delete(exchange);
    if (isConnectionWhole) connections.giveBack(connection);
    else connections.drop(connection);
    this.#options.onOutcome(outcome);
    if (this.#inFlight.size === 0) this.wake();
  }

  #finish(): void {
    const end = this.#end as SenderEnd;
    void Promise.all(this.#connections.map((connections) => connections.close())).then(() => this.#ended.resolve(end), this.#ended.reject);
  }
}
