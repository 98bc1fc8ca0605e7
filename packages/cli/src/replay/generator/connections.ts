import { Client } from 'undici';

export interface ConnectionOptions {
  /** Without its path. */
  readonly origin: string;
  readonly connectTimeoutMs: number;
}

/**
 * Connections of one target: one request each at a time, opened when none is idle, the one used last taken first, so that those not needed run into
 * their own idle limit. undici's pool looks through all its connections for an idle one, which with thousands of streams costs more than
 * the request. Their number is bounded by whoever takes them.
 */
export class Connections {
  readonly #options: ConnectionOptions;
  readonly #idle: Client[] = [];
  readonly #all = new Set<Client>();

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#all.size;
  }

  take(): Client {
    return this.#idle.pop() ?? this.#open();
  }

  /** After a request that ended in order. */
  giveBack(connection: Client): void {
    if (this.#all.has(connection)) this.#idle.push(connection);
  }

  /** Cuts whatever goes on. */
  drop(connection: Client): void {
    this.#all.delete(connection);
    void connection.destroy().catch(() => {});
  }

  async close(): Promise<void> {
    const all = [...this.#all];
    this.#all.clear();
    this.#idle.length = 0;
    await Promise.all(all.map((connection) => connection.destroy()));
  }

  #open(): Client {
    const { origin, connectTimeoutMs } = this.#options;
    // The time limits of requests are the sender's; two timers fewer for each. HTTP/2 is not negotiated: its streams share a connection, and stall together.
    const connection = new Client(origin, { pipelining: 1, headersTimeout: 0, bodyTimeout: 0, allowH2: false, connect: { timeout: connectTimeoutMs } });
    this.#all.add(connection);
    return connection;
  }
}
