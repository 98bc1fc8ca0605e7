import { AutoglmError } from '@open-autoglm/protocol';
import type { Claim, Decision, LimitStore } from './limit-store.ts';
import { chargeOf, waitFor, type Rate } from './token-bucket.ts';

/** How much one caller may ask for; what is absent is not limited. */
export interface Allowance {
  readonly requests_per_second?: number;
  readonly requests_per_minute?: number;
  readonly tokens_per_second?: number;
  readonly tokens_per_minute?: number;
}

export interface LimitsOptions {
  /** Of each key, and of each tenant. */
  readonly key: Allowance;
  readonly tenant: Allowance;
  /** Of keys by their names, in the place of `key`. */
  readonly keys: Readonly<Record<string, Allowance>>;
  /** What an answer whose length the client does not bound counts for until it is there. */
  readonly answerTokensExpected: number;
  readonly store: LimitStore;
}

/** A request as the limits see it. */
export interface Ask {
  /** The key's name where keys are checked; else whatever tells one caller from another. */
  readonly key: string;
  /** Hashed. */
  readonly tenant: string;
  readonly promptTokens: number;
  /** Of one answer; undefined: the client set no bound. */
  readonly answerTokensMax: number | undefined;
  readonly answerCount: number;
  /** Work that nobody waits for: it may use what leaves half of every bucket to the others. */
  readonly isBatch: boolean;
}

export interface Admission {
  /** `x-ratelimit-*`. */
  readonly headers: Readonly<Record<string, string>>;
  readonly source: Decision['source'];
  /** Absent: it may go on. */
  readonly refusal: AutoglmError | undefined;
  /** Told at the request's end how many tokens it took; undefined: nobody knows, and the estimate stands. Once. */
  settle(tokens: number | undefined): void;
}

type Unit = 'requests' | 'tokens';

interface Limit {
  readonly unit: Unit;
  readonly whose: 'key' | 'tenant';
  readonly window: 'second' | 'minute';
  readonly rate: Rate;
}

const windowMs = { second: 1000, minute: 60_000 } as const;
const batchShare = 0.5;

/** Requests and tokens a second and a minute, of each key and of each tenant within it. */
export class Limits {
  readonly #options: LimitsOptions;
  readonly #ofKey: readonly Limit[];
  readonly #ofTenant: readonly Limit[];
  readonly #ofNamedKey: ReadonlyMap<string, readonly Limit[]>;

  constructor(options: LimitsOptions) {
    this.#options = options;
    this.#ofKey = toLimits(options.key, 'key');
    this.#ofTenant = toLimits(options.tenant, 'tenant');
    this.#ofNamedKey = new Map(Object.entries(options.keys).map(([name, allowance]) => [name, toLimits(allowance, 'key')]));
  }

  /** Undefined: nothing limits this caller. */
  async admit(ask: Ask): Promise<Admission | undefined> {
    const limits = this.#limitsOf(ask.key);
    if (limits.length === 0) return undefined;
    const tokens =
      ask.promptTokens + ask.answerCount * (ask.answerTokensMax ?? (ask.answerCount > 0 ? this.#options.answerTokensExpected : 0));
    const share = ask.isBatch ? batchShare : 1;
    return this.#take(
      limits,
      limits.map((limit) => ({ bucket: bucketOf(limit, ask), rate: limit.rate, cost: limit.unit === 'requests' ? 1 : tokens })),
      share,
    );
  }

  /** A request that generates nothing, which no tokens are counted for. Undefined: nothing limits this caller. */
  async admitCall(caller: Pick<Ask, 'key' | 'tenant'>): Promise<Admission | undefined> {
    const limits = this.#limitsOf(caller.key).filter(({ unit }) => unit === 'requests');
    if (limits.length === 0) return undefined;
    return this.#take(
      limits,
      limits.map((limit) => ({ bucket: bucketOf(limit, caller), rate: limit.rate, cost: 1 })),
      1,
    );
  }

  #limitsOf(key: string): readonly Limit[] {
    const ofKey = this.#ofNamedKey.get(key) ?? this.#ofKey;
    return this.#ofTenant.length === 0 ? ofKey : [...ofKey, ...this.#ofTenant];
  }

  async #take(limits: readonly Limit[], claims: readonly Claim[], share: number): Promise<Admission> {
    const decision = await this.#options.store.take(claims, share);
    return {
      headers: headersOf(limits, decision.used),
      source: decision.source,
      refusal: decision.waitMs > 0 ? refuse(limits, claims, decision, share) : undefined,
      settle: (used) => {
        if (decision.waitMs > 0 || used === undefined) return;
        const corrections: Claim[] = [];
        for (const [index, claim] of claims.entries()) {
          if (limits[index]?.unit !== 'tokens') continue;
          const cost = used - chargeOf(claim.cost, claim.rate, share);
          if (cost !== 0) corrections.push({ ...claim, cost });
        }
        if (corrections.length > 0) this.#options.store.correct(corrections, decision.source);
      },
    };
  }

  close(): Promise<void> {
    return this.#options.store.close();
  }
}

function toLimits(allowance: Allowance, whose: Limit['whose']): Limit[] {
  const limits: Limit[] = [];
  for (const unit of ['requests', 'tokens'] as const) {
    for (const window of ['second', 'minute'] as const) {
      const capacity = allowance[`${unit}_per_${window}`];
      if (capacity !== undefined) limits.push({ unit, whose, window, rate: { capacity, drainMs: windowMs[window] } });
    }
  }
  return limits;
}

/** The braces keep the buckets of one key together in a cluster of Redis. */
function bucketOf({ unit, whose, window }: Limit, { key, tenant }: Pick<Ask, 'key' | 'tenant'>): string {
  return `{${key}}:${whose === 'tenant' ? tenant : ''}:${unit}:${window}`;
}

function refuse(limits: readonly Limit[], claims: readonly Claim[], { used, waitMs }: Decision, share: number): AutoglmError {
  const waits = claims.map(({ cost, rate }, index) => waitFor(used[index] as number, cost, rate, share));
  const longest = waits.indexOf(Math.max(...waits));
  const { unit, whose, window, rate } = limits[longest] as Limit;
  const { cost } = claims[longest] as Claim;
  const message = `Rate limit reached for ${unit} of this ${whose}: ${rate.capacity} a ${window}, of which ${Math.ceil(used[longest] as number)} are used, and ${Math.ceil(cost)} more were asked for. Try again in ${formatDuration(waitMs)}.`;
  return new AutoglmError('rate_limit_exceeded', message, { retryAfterSeconds: Math.max(1, Math.ceil(waitMs / 1000)) });
}

/** As OpenAI has them: of the limit that leaves least. */
function headersOf(limits: readonly Limit[], used: readonly number[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const unit of ['requests', 'tokens'] as const) {
    let least: { readonly rate: Rate; readonly left: number; readonly used: number } | undefined;
    for (const [index, limit] of limits.entries()) {
      if (limit.unit !== unit) continue;
      const left = Math.max(0, Math.floor(limit.rate.capacity - (used[index] as number) + 1e-6));
      if (!least || left < least.left) least = { rate: limit.rate, left, used: used[index] as number };
    }
    if (!least) continue;
    headers[`x-ratelimit-limit-${unit}`] = String(Math.floor(least.rate.capacity));
    headers[`x-ratelimit-remaining-${unit}`] = String(least.left);
    headers[`x-ratelimit-reset-${unit}`] = formatDuration((least.used / least.rate.capacity) * least.rate.drainMs);
  }
  return headers;
}

/** As OpenAI writes it: `120ms`, `1.5s`, `6m0s`. */
export function formatDuration(milliseconds: number): string {
  const rounded = Math.ceil(milliseconds);
  if (rounded < 1000) return `${rounded}ms`;
  if (rounded < 60_000) return `${rounded / 1000}s`;
  const seconds = Math.ceil(rounded / 1000);
  return `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}
