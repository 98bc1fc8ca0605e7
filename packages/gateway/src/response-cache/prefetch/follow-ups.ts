/** A request that was seen after another one, and how often. */
interface Follower<T> {
  readonly key: string;
  readonly request: T;
  readonly bytes: number;
  /** Fades as others follow. */
  weight: number;
}

export interface FollowUpOptions {
  /** Requests whose followers are remembered. */
  readonly entriesMax: number;
  /** Of all followers. */
  readonly bytesMax: number;
  /** A follower is expected when it was seen so often, faded, … */
  readonly countMin: number;
  /** … and so large a share of the times. */
  readonly shareMin: number;
}

/** Of one request. */
const followersMax = 8;
/** What was seen before counts so much less each time that something follows. */
const fading = 0.95;

/** What follows upon what, counted within bounds: who was seen longest ago is forgotten first. */
export class FollowUps<T> {
  readonly #options: FollowUpOptions;
  readonly #byKey = new Map<string, Follower<T>[]>();
  #bytes = 0;

  constructor(options: FollowUpOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#byKey.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** `next` came after `key`. */
  observe(key: string, next: { readonly key: string; readonly request: T; readonly bytes: number }): void {
    const followers = this.#byKey.get(key) ?? [];
    this.#byKey.delete(key);
    this.#byKey.set(key, followers);
    for (const follower of followers) follower.weight *= fading;
    const known = followers.find((follower) => follower.key === next.key);
    if (known) {
      known.weight += 1;
    } else {
      followers.push({ ...next, weight: 1 });
      this.#bytes += next.bytes;
    }
    followers.sort((a, b) => b.weight - a.weight);
    // The newest may be the least: it replaces the one before it.
    if (followers.length > followersMax) this.#bytes -= (followers.splice(followersMax - 1, 1)[0] as Follower<T>).bytes;
    while (this.#byKey.size > this.#options.entriesMax || this.#bytes > this.#options.bytesMax) this.#forgetOldest();
  }

  /** What will probably follow, likeliest first. */
  expected(key: string): readonly { readonly key: string; readonly request: T }[] {
    const followers = this.#byKey.get(key) ?? [];
    const total = followers.reduce((sum, { weight }) => sum + weight, 0);
    const { countMin, shareMin } = this.#options;
    // Fading takes a little of what was seen just now.
    return followers.filter(({ weight }) => weight > countMin - 0.5 && weight / total >= shareMin);
  }

  #forgetOldest(): void {
    const [key, followers] = this.#byKey.entries().next().value as [string, Follower<T>[]];
    this.#byKey.delete(key);
    for (const { bytes } of followers) this.#bytes -= bytes;
  }
}
