import { Fifo } from '../fifo.ts';

/** The place of a request in the trace, kept while it runs. */
export interface Place {
  /** Its line, or nothing where it is not recorded. Once. */
  settle(line: string | undefined): void;
}

export interface ArrivalOrderOptions {
  /** Requests that are waited for, or that wait for one before them, at most. */
  readonly heldMax: number;
  /** Characters of lines that wait at most. */
  readonly heldCharactersMax: number;
  readonly write: (line: string) => void;
}

interface Entry {
  /** What is known of a request that has not ended. */
  readonly draft: () => string | undefined;
  line: string | undefined;
  isSettled: boolean;
  isGone: boolean;
  isLost: boolean;
}

/**
 * Puts lines into the order in which their requests arrived, though they end in another: a trace is read as it is replayed, line by line.
 * At its bounds it does not wait for the oldest request any longer, and writes what is known of it; of which nothing is known yet is lost,
 * and counted.
 */
export class ArrivalOrder {
  readonly #options: ArrivalOrderOptions;
  readonly #entries = new Fifo<Entry>();
  #heldCharacters = 0;
  #unfinishedCount = 0;
  #lostCount = 0;

  constructor(options: ArrivalOrderOptions) {
    this.#options = options;
  }

  /** Requests that were written before they had ended. */
  get unfinishedCount(): number {
    return this.#unfinishedCount;
  }

  /** Requests of which nothing was known when they were not waited for any longer; not those that turn out to have no line. */
  get lostCount(): number {
    return this.#lostCount;
  }

  arrive(draft: () => string | undefined): Place {
    const entry: Entry = { draft, line: undefined, isSettled: false, isGone: false, isLost: false };
    this.#entries.push(entry);
    this.#flush();
    return {
      settle: (line) => {
        if (entry.isSettled) return;
        entry.isSettled = true;
        if (entry.isGone) {
          if (entry.isLost && line === undefined) this.#lostCount -= 1;
          return;
        }
        entry.line = line;
        this.#heldCharacters += line?.length ?? 0;
        this.#flush();
      },
    };
  }

  /** Writes all that is held. */
  end(): void {
    while (this.#entries.length > 0) this.#release();
  }

  #flush(): void {
    const { heldMax, heldCharactersMax } = this.#options;
    while (this.#entries.first?.isSettled || this.#entries.length > heldMax || this.#heldCharacters > heldCharactersMax) this.#release();
  }

  #release(): void {
    const entry = this.#entries.shift() as Entry;
    entry.isGone = true;
    const line = entry.isSettled ? entry.line : entry.draft();
    entry.isLost = !entry.isSettled && line === undefined;
    if (entry.isSettled) this.#heldCharacters -= line?.length ?? 0;
    else if (entry.isLost) this.#lostCount += 1;
    else this.#unfinishedCount += 1;
    if (line !== undefined) this.#options.write(line);
  }
}
