/** What a token of a prompt and one of an answer count for. */
export interface TokenWeights {
  readonly prompt: number;
  readonly output: number;
}

/** Tenants without any request that are remembered; the one that was served longest ago is forgotten. */
const idleMax = 4096;

/**
 * The weighted tokens that each tenant has had (Sheng et al. 2024). One that comes back is lifted to the least of those that
 * are there: the time when it asked for nothing is no credit, and who is forgotten loses nothing by it.
 */
export class TenantCounters {
  readonly #weights: TokenWeights;
  readonly #served = new Map<string, number>();
  /** Requests of each tenant, waiting and under way. */
  readonly #active = new Map<string, number>();
  /** The least counter when the last tenant left. */
  #floor = 0;

  constructor(weights: TokenWeights) {
    this.#weights = weights;
  }

  servedTo(tenant: string): number {
    return this.#served.get(tenant) ?? this.#floor;
  }

  /** A request of this tenant has come. */
  enter(tenant: string): void {
    const active = this.#active.get(tenant) ?? 0;
    if (active === 0) this.#lift(tenant);
    this.#active.set(tenant, active + 1);
  }

  /** It is over. */
  leave(tenant: string): void {
    const active = (this.#active.get(tenant) ?? 0) - 1;
    if (active > 0) return void this.#active.set(tenant, active);
    if (this.#active.size === 1) this.#floor = this.servedTo(tenant);
    this.#active.delete(tenant);
    this.#forget();
  }

  chargePrompt(tenant: string, tokens: number): void {
    this.#charge(tenant, tokens * this.#weights.prompt);
  }

  chargeOutput(tenant: string, tokens: number): void {
    this.#charge(tenant, tokens * this.#weights.output);
  }

  #charge(tenant: string, weight: number): void {
    const served = this.servedTo(tenant) + weight;
    this.#served.set(tenant, served);
  }

  #lift(tenant: string): void {
    let least = this.#active.size === 0 ? this.#floor : Infinity;
    for (const other of this.#active.keys()) least = Math.min(least, this.servedTo(other));
    const lifted = Math.max(this.servedTo(tenant), least);
    // The last of the map is the one that came last.
    this.#served.delete(tenant);
    this.#served.set(tenant, lifted);
  }

  #forget(): void {
    if (this.#served.size <= this.#active.size + idleMax) return;
    for (const tenant of this.#served.keys()) {
      if (!this.#active.has(tenant)) return void this.#served.delete(tenant);
    }
  }
}
