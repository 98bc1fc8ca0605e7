import { hash } from 'node:crypto';
import type { AutoglmError } from '@open-autoglm/protocol';
import { keyOfTenant } from '../common/key-of-tenant.ts';

/** More than open any breaker. */
const seenMax = 1000;

/** A request at a lone replica, as far as its failure says something. */
export interface Asking {
  readonly tenant: string;
  /** Of all that it asks, what the replica was given to read. */
  readonly input: unknown;
}

/**
 * What a lone replica failed at since its last answer. An error that it answers with says of what was asked what it says of the
 * replica, and whoever has one question that a server breaks at has more, and asks each again: three failures in a row would take it
 * from everybody. So what one key asks counts once, and where there is one key only, whom nobody else's questions harm, each of its
 * questions. Silence counts for each question: it is dear, as whoever asks next would wait as long for nothing.
 */
export class LoneFailures {
  readonly #seen = new Set<string>();
  /** The first that has asked. */
  #key: string | undefined;
  #hasOtherKeys = false;

  /** Somebody asks. */
  note(tenant: string): void {
    if (this.#hasOtherKeys) return;
    const key = keyOfTenant(tenant);
    this.#key ??= key;
    this.#hasOtherKeys = key !== this.#key;
  }

  /** True once for each. */
  isNews({ code }: AutoglmError, { tenant, input }: Asking): boolean {
    this.note(tenant);
    const key = `key ${keyOfTenant(tenant)}`;
    const isByQuestion = code === 'upstream_timeout' || !this.#hasOtherKeys;
    const what = isByQuestion ? hash('sha256', JSON.stringify(input), 'base64url') : key;
    const isNews = !this.#seen.has(what);
    if (this.#seen.size < seenMax) this.#seen.add(what).add(key);
    return isNews;
  }

  forget(): void {
    this.#seen.clear();
  }
}
