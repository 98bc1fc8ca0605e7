import { Connection, type ConnectionOptions } from './connection.ts';

export interface ConnectionsOptions extends Omit<ConnectionOptions, 'onClosed'> {
  readonly now: () => number;
}

interface Idle {
  readonly connection: Connection;
  readonly untilMs: number;
}

/**
 * Connections of one target: one request each at a time, opened when none is idle, the one used last taken first, so that those not
 * needed run into their own idle limit. Their number is bounded by whoever takes them.
 */
export class Connections {
  readonly #options: ConnectionsOptions;
  #idle: Idle[] = [];
  readonly #all = new Set<Connection>();

  constructor(options: ConnectionsOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#all.size;
  }

  take(): Connection {
    for (let last = this.#idle.pop(); last; last = this.#idle.pop()) {
      if (this.#all.has(last.connection) && last.untilMs > this.#options.now()) return last.connection;
      this.drop(last.connection);
    }
    return this.#open();
  }

  /** After a request that ended in order. */
  giveBack(connection: Connection): void {
    if (this.#all.has(connection)) this.#idle.push({ connection, untilMs: this.#options.now() + connection.idleMaxMs });
  }

  /** Cuts whatever goes on. */
  drop(connection: Connection): void {
    this.#all.delete(connection);
    connection.destroy();
  }

  close(): void {
    for (const connection of this.#all) connection.destroy();
    this.#all.clear();
    this.#idle = [];
  }

  #open(): Connection {
    const connection = new Connection({ ...this.#options, onClosed: (closed) => this.#all.delete(closed) });
    this.#all.add(connection);
    return connection;
  }
}
