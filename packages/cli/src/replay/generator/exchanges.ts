import type { RequestOutcome } from '../outcome.ts';
import { Exchange } from './exchange.ts';
import type { TellFact } from './exchange-facts.ts';
import type { ExpectedAnswer } from './prepared.ts';

export interface ExchangesOptions {
  readonly onOutcome: (outcome: RequestOutcome) => void;
  /** What more comes of it is of no use. */
  readonly onSpoilt: (id: number) => void;
}

/**
 * All requests that were given to the sender and have no outcome yet. Answers are parsed here, on another thread than the one that
 * sends and stamps: parsing takes more of the processor than all else, and its garbage pauses.
 */
export class Exchanges {
  readonly #options: ExchangesOptions;
  readonly #exchanges = new Map<number, Exchange>();
  #count = 0;

  constructor(options: ExchangesOptions) {
    this.#options = options;
  }

  /** In the order in which they are given to the sender. */
  expect(expected: ExpectedAnswer): void {
    this.#exchanges.set(this.#count, new Exchange(expected));
    this.#count += 1;
  }

  readonly tell: TellFact = (kind, id, atMs, value, bytes) => {
    const outcome = this.#exchanges.get(id)?.take(kind, atMs, value, bytes);
    if (!outcome) return;
    this.#exchanges.delete(id);
    this.#options.onOutcome(outcome);
    if (kind === 'piece') this.#options.onSpoilt(id);
  };
}
