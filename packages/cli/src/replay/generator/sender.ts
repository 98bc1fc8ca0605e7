import { Fifo } from '../../fifo.ts';
import { Connections } from './connections.ts';
import { noBytes, type TellFact } from './exchange-facts.ts';
import { Flight } from './flight.ts';
import type { RequestToSend } from './prepared.ts';

export interface SenderOptions {
  /** URLs of the targets. */
  readonly targets: readonly string[];
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
  /** Bytes have come from a socket: a moment to look whether something is due, in the midst of many. */
  readonly onRead: () => void;
  /** Requests are told of by their number in the order of `add`, from 0. */
  readonly tell: TellFact;
}

const encoder = new TextEncoder();

export type SenderEnd = 'completed' | 'interrupted' | 'silent';

/**
 * Sends each request when it is due, whatever became of those before it: an open loop. Latencies count from that moment; what the
 * sender itself is late is within them, and reported. Whoever drives it calls `wake` at the alarm, and `check` several times a second.
 */
export class Sender {
  readonly #options: SenderOptions;
  readonly #connections: readonly Connections[];
  readonly #firstSentAtMs: (number | undefined)[] = [];
  readonly #hasAnswered: boolean[] = [];
  /** By number; in the order of sending, which is that of their time limits. */
  readonly #inFlight = new Map<number, Flight>();
  readonly #queue = new Fifo<RequestToSend>();
  readonly #ended = Promise.withResolvers<SenderEnd>();
  #takenCount = 0;
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
    this.#connections = options.targets.map(
      (target) => new Connections({ url: new URL(target), connectTimeoutMs, now: options.now, onRead: options.onRead }),
    );
  }

  /** Settles when every request that was added, and is due before the end, has its outcome, and all connections are closed. */
  get ended(): Promise<SenderEnd> {
    return this.#ended.promise;
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  /** Requests that wait no more. */
  get takenCount(): number {
    return this.#takenCount;
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
  add(requests: readonly RequestToSend[]): void {
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
    this.#queue.clear();
    this.#end = end;
    for (const flight of this.#inFlight.values()) flight.giveUp('abandoned', why);
    this.#finish();
  }

  /** Sends what is due. Cheap when nothing is. */
  wake(): void {
    while (this.#hasBegun && !this.#end) {
      const request = this.#queue.first;
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
      this.#queue.shift();
      this.#takenCount += 1;
      this.#send(request, this.#takenCount - 1, dueAtMs, nowMs);
    }
  }

  /** Looks for those whose time is up. */
  check(): void {
    const nowMs = this.#options.now();
    for (const flight of this.#inFlight.values()) {
      if (flight.options.sentAtMs + this.#options.timeoutMs > nowMs) break;
      flight.giveUp('timed-out', `no end within ${this.#options.timeoutMs / 1000} s`);
    }
    const isSilent = this.#firstSentAtMs.some(
      (firstSentAtMs, target) =>
        firstSentAtMs !== undefined && !this.#hasAnswered[target] && nowMs - firstSentAtMs > this.#options.silenceMaxMs,
    );
    if (isSilent) this.stop('silent');
  }

  /** Nothing more of it is of use, such as after an error event. */
  drop(id: number): void {
    this.#inFlight.get(id)?.drop();
  }

  #send({ target, message }: RequestToSend, id: number, dueAtMs: number, sentAtMs: number): void {
    const { inFlightMax, tell, now, arrivedAt } = this.#options;
    if (this.#inFlight.size >= inFlightMax)
      return tell('unsent', id, sentAtMs, dueAtMs, encoder.encode(`as many were under way as --max-in-flight allows (${inFlightMax})`));
    const connections = this.#connections[target] as Connections;
    const flight = new Flight({ id, target, sentAtMs, connections, now, arrivedAt, tell, onEnd: this.#onEnd, onHead: this.#onHead });
    this.#inFlight.set(id, flight);
    tell('sent', id, sentAtMs, dueAtMs, noBytes);
    flight.send(message);
    this.#firstSentAtMs[target] ??= sentAtMs;
    this.#inFlightPeak = Math.max(this.#inFlightPeak, this.#inFlight.size);
    this.#connectionPeak = Math.max(
      this.#connectionPeak,
      this.#connections.reduce((sum, { count }) => sum + count, 0),
    );
  }

  readonly #onHead = ({ options }: Flight) => {
    this.#hasAnswered[options.target] = true;
  };

  readonly #onEnd = ({ options }: Flight) => {
    this.#inFlight.delete(options.id);
    if (this.#inFlight.size === 0) this.wake();
  };

  #finish(): void {
    for (const connections of this.#connections) connections.close();
    this.#ended.resolve(this.#end as SenderEnd);
  }
}
