import { keyOfTenant } from '../common/key-of-tenant.ts';
import type { Served } from './choose-next.ts';

/** What a token of a prompt and one of an answer count for. */
export interface TokenWeights {
  readonly prompt: number;
  readonly output: number;
}

/** Those without any request that are remembered; the one that was served longest ago is forgotten. */
const idleKeysMax = 256;
const idleTenantsMax = 1024;

/** The weighted tokens that each key has had, and each tenant of it (Sheng et al. 2024). */
export class TenantCounters implements Served {
  readonly #weights: TokenWeights;
  readonly #keys = new Counters(idleKeysMax);
  readonly #tenants = new Map<string, Counters>();

  constructor(weights: TokenWeights) {
    this.#weights = weights;
  }

  toKey(tenant: string): number {
    return this.#keys.of(keyOfTenant(tenant));
  }

  toTenant(tenant: string): number {
    return this.#tenantsOf(keyOfTenant(tenant)).of(tenant);
  }

  /** A request of this tenant has come. */
  enter(tenant: string): void {
    const key = keyOfTenant(tenant);
    this.#keys.enter(key);
    this.#tenantsOf(key).enter(tenant);
  }

  /** It is over. */
  leave(tenant: string): void {
    const key = keyOfTenant(tenant);
    this.#tenantsOf(key).leave(tenant);
    const forgotten = this.#keys.leave(key);
    if (forgotten !== undefined) this.#tenants.delete(forgotten);
  }

  chargePrompt(tenant: string, tokens: number): void {
    this.#charge(tenant, tokens * this.#weights.prompt);
  }

  chargeOutput(tenant: string, tokens: number): void {
    this.#charge(tenant, tokens * this.#weights.output);
  }

  #charge(tenant: string, weight: number): void {
    const key = keyOfTenant(tenant);
    this.#keys.charge(key, weight);
    this.#tenantsOf(key).charge(tenant, weight);
  }

  /** Asked for by requests that are here, whose keys are remembered. */
  #tenantsOf(key: string): Counters {
    const known = this.#tenants.get(key);
    if (known) return known;
    const counters = new Counters(idleTenantsMax);
    this.#tenants.set(key, counters);
    return counters;
  }
}

/**
 * What each of those that share has had. One that comes back is lifted to the least of those that are there: the time when it asked for
 * nothing is no credit, and who is forgotten loses nothing by it.
 */
class Counters {
  readonly #idleMax: number;
  readonly #served = new Map<string, number>();
  /** Requests of each, waiting and under way. */
  readonly #active = new Map<string, number>();
  /** The least counter when the last one left. */
  #floor = 0;

  constructor(idleMax: number) {
    this.#idleMax = idleMax;
  }

  of(name: string): number {
    return this.#served.get(name) ?? this.#floor;
  }

  enter(name: string): void {
    const active = this.#active.get(name) ?? 0;
    if (active === 0) this.#lift(name);
    this.#active.set(name, active + 1);
  }

  /** Says whom it has forgotten. */
  leave(name: string): string | undefined {
    const active = (this.#active.get(name) ?? 0) - 1;
    if (active > 0) return void this.#active.set(name, active);
    if (this.#active.size === 1) this.#floor = this.of(name);
    this.#active.delete(name);
    return this.#forget();
  }

  charge(name: string, weight: number): void {
    this.#served.set(name, this.of(name) + weight);
  }

  #lift(name: string): void {
    let least = this.#active.size === 0 ? this.#floor : Infinity;
    for (const other of this.#active.keys()) least = Math.min(least, this.of(other));
    const lifted = Math.max(this.of(name), least);
    // The last of the map is the one that came last.
    this.#served.delete(name);
    this.#served.set(name, lifted);
  }

  #forget(): string | undefined {
    if (this.#served.size <= this.#active.size + this.#idleMax) return undefined;
    for (const name of this.#served.keys()) {
      if (this.#active.has(name)) continue;
      this.#served.delete(name);
      return name;
    }
    return undefined;
  }
}
