import { hash } from 'node:crypto';
import type { GatewayRequest } from '@open-autoglm/protocol';

/** More than open any breaker. */
const inputsMax = 1000;

/**
 * What a replica failed at since its last answer. A client's library asks again what has failed, twice as a rule: one question that a server breaks
 * at would count as three failures in a row, and take a lone replica from everybody. It says of the question what it says of the replica, so it
 * counts once.
 */
export class FailedInputs {
  readonly #seen = new Set<string>();

  /** True once for each. */
  isNews({ input }: Pick<GatewayRequest, 'input'>): boolean {
    const digest = hash('sha256', JSON.stringify(input), 'base64url');
    if (this.#seen.has(digest)) return false;
    if (this.#seen.size < inputsMax) this.#seen.add(digest);
    return true;
  }

  forget(): void {
    this.#seen.clear();
  }
}
