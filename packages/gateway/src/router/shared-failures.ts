import type { AutoglmError } from '@open-autoglm/protocol';

/**
 * Requests that were joined fail of one call, and with one error. That counts once: a breaker learns of it as of one failure, and one
 * token of the retry budget pays for all of them, which are joined again where they are asked next.
 */
export class SharedFailures {
  readonly #learnt = new WeakSet<AutoglmError>();
  readonly #paid = new WeakMap<AutoglmError, boolean>();

  /** True once for each. */
  isNews(error: AutoglmError): boolean {
    if (this.#learnt.has(error)) return false;
    this.#learnt.add(error);
    return true;
  }

  /** What `withdraw` said for the first who asked. */
  isPaid(error: AutoglmError, withdraw: () => boolean): boolean {
    const paid = this.#paid.get(error) ?? withdraw();
    this.#paid.set(error, paid);
    return paid;
  }
}
