import type { AnswerHandler, Connection } from './connection.ts';
import type { Connections } from './connections.ts';
import { noBytes, type FactKind, type TellFact } from './exchange-facts.ts';

export interface FlightOptions {
  readonly id: number;
  readonly target: number;
  readonly sentAtMs: number;
  readonly connections: Connections;
  readonly now: () => number;
  readonly arrivedAt: () => number;
  readonly tell: TellFact;
  readonly onEnd: (flight: Flight) => void;
  /** The server has said something. */
  readonly onHead: (flight: Flight) => void;
}

const encoder = new TextEncoder();

/** A request under way, on a connection of its own: tells what comes, and ends once. */
export class Flight implements AnswerHandler {
  readonly options: FlightOptions;
  readonly #connection: Connection;

  constructor(options: FlightOptions) {
    this.options = options;
    this.#connection = options.connections.take();
  }

  send(message: Uint8Array): void {
    this.#connection.send(message, this);
  }

  /** The connection is cut with it. */
  giveUp(kind: 'timed-out' | 'abandoned', why: string): void {
    this.#tell(kind, this.options.now(), why);
    this.drop();
  }

  /** Whoever reads the facts has no use for more of them. */
  drop(): void {
    this.options.connections.drop(this.#connection);
    this.options.onEnd(this);
  }

  onHead(status: number, contentType: string): void {
    const { id, arrivedAt, tell, onHead } = this.options;
    tell('head', id, arrivedAt(), status, encoder.encode(contentType));
    onHead(this);
  }

  onBody(bytes: Uint8Array): void {
    const { id, arrivedAt, tell } = this.options;
    tell('piece', id, arrivedAt(), 0, bytes);
  }

  onWhole(): void {
    this.options.connections.giveBack(this.#connection);
    this.#tell('whole', this.options.arrivedAt());
    this.options.onEnd(this);
  }

  onBroken(why: string): void {
    this.#tell('broken', this.options.now(), why);
    this.drop();
  }

  #tell(kind: FactKind, atMs: number, why?: string): void {
    this.options.tell(kind, this.options.id, atMs, 0, why === undefined ? noBytes : encoder.encode(why));
  }
}
