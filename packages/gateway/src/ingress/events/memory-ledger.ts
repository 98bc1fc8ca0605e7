import { otherName, type Accepted, type EventBatch, type EventLedger, type EventSum, type LedgerLimits } from './event-ledger.ts';

interface Client {
  readonly last: number;
  readonly heardAtMs: number;
}

export interface MemoryLedgerOptions extends LedgerLimits {
  /** Milliseconds. */
  readonly now: () => number;
}

/** In this process's memory, as the metrics that it feeds are. The map of clients is in the order in which they were heard from. */
export class MemoryEventLedger implements EventLedger {
  readonly #options: MemoryLedgerOptions;
  readonly #clients = new Map<string, Client>();
  readonly #totals = new Map<string, { count: number; sum: number }>();

  constructor(options: MemoryLedgerOptions) {
    this.#options = options;
  }

  async add(tenant: string, client: string, batches: readonly EventBatch[]): Promise<Accepted> {
    const { clientsMax, clientTtlMs } = this.#options;
    const now = this.#options.now();
    const key = `${tenant}\n${client}`;
    const known = this.#clients.get(key);
    const last = known && known.heardAtMs + clientTtlMs > now ? known.last : 0;
    const fresh = batches.filter(({ sequence }) => sequence > last);
    for (const { events } of fresh) for (const event of events) this.#count(event);
    this.#clients.delete(key);
    this.#clients.set(key, { last: Math.max(last, batches.at(-1)?.sequence ?? 0), heardAtMs: now });
    for (const [oldest, { heardAtMs }] of this.#clients) {
      if (this.#clients.size <= clientsMax && heardAtMs + clientTtlMs > now) break;
      this.#clients.delete(oldest);
    }
    return { accepted: fresh.length, duplicates: batches.length - fresh.length };
  }

  async totals(): Promise<readonly EventSum[]> {
    return Array.from(this.#totals, ([name, { count, sum }]) => ({ name, count, sum }));
  }

  async close(): Promise<void> {
    this.#clients.clear();
  }

  #count({ name, count, sum }: EventSum): void {
    const own =
      this.#totals.get(name) ??
      (this.#totals.size < this.#options.namesMax ? this.#open(name) : (this.#totals.get(otherName) ?? this.#open(otherName)));
    own.count += count;
    own.sum += sum;
  }

  #open(name: string): { count: number; sum: number } {
    const total = { count: 0, sum: 0 };
    this.#totals.set(name, total);
    return total;
  }
}
