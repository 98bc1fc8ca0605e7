import type { ServerResponse } from 'node:http';
import { AutoglmError } from '@open-autoglm/protocol';
import { Roster, type Listed } from '../common/roster.ts';

/** A request that the server works on. */
export class Hand implements Listed {
  place = -1;
  readonly abort = new AbortController();
  readonly #onRelease: (hand: Hand) => void;

  constructor(onRelease: (hand: Hand) => void) {
    this.#onRelease = onRelease;
  }

  /** Idempotent. */
  release(): void {
    this.#onRelease(this);
  }
}

/** Every request that the server works on, whoever asked: at most so many, and none once it drains. */
export class InHand {
  readonly #hands = new Roster<Hand>();
  readonly #max: number;
  #draining = false;
  #onIdle = () => {};

  constructor(max: number) {
    this.#max = max;
  }

  get isDraining(): boolean {
    return this.#draining;
  }

  /** Throws `draining` or `queue_full`. */
  take(): Hand {
    if (this.#draining)
      throw new AutoglmError('draining', 'The server is shutting down: send the request to another one.', { retryAfterSeconds: 5 });
    if (this.#hands.size >= this.#max)
      throw new AutoglmError('queue_full', `The server has ${this.#hands.size} requests in hand already.`, { retryAfterSeconds: 1 });
    const hand = new Hand((released) => this.#release(released));
    this.#hands.add(hand);
    return hand;
  }

  /**
   * As `take`, held until the response is closed; a client that leaves before its end aborts the request. Throws `client_closed_request`
   * where it has left.
   */
  takeFor(response: ServerResponse): Hand {
    // It is closed once, and a hand that was taken after that would never be released.
    if (response.destroyed) throw new AutoglmError('client_closed_request', 'The client left.');
    const hand = this.take();
    // Emitted once; `once` would make sure of it again, for each request.
    response.on('close', () => {
      hand.release();
      if (!response.writableFinished) hand.abort.abort(new AutoglmError('client_closed_request', 'The client left.'));
    });
    return hand;
  }

  /** Takes nothing more; what is held is aborted after this time. Resolves when nothing is held. */
  async drain(timeoutMs: number): Promise<void> {
    this.#draining = true;
    const idle = new Promise<void>((resolve) => (this.#onIdle = resolve));
    if (this.#hands.size === 0) this.#onIdle();
    const timer = setTimeout(() => {
      for (const { abort } of this.#hands)
        abort.abort(new AutoglmError('draining', 'The server is shutting down; the answer is incomplete.'));
    }, timeoutMs);
    await idle;
    clearTimeout(timer);
  }

  #release(hand: Hand): void {
    if (this.#hands.delete(hand) && this.#hands.size === 0) this.#onIdle();
  }
}
