import { AutoglmError, type EmbeddingAnswer, type EmbeddingEngine, type EmbeddingModelInfo, type EmbeddingRequest, type EngineStatus } from '@open-autoglm/protocol';
import { costOf, learn, noCosts, type BatchCost, type BatchCosts } from './batch-costs.ts';
import { decideBatch, type BatchBounds } from './batch-size.ts';

export interface BatchedEmbeddingsOptions extends BatchBounds {
  /** Texts that may wait. */
  readonly waitingMax: number;
  /** Milliseconds. */
  readonly now: () => number;
}

/** A request on its way into a batch. */
interface Member {
  readonly request: EmbeddingRequest;
  readonly signal: AbortSignal;
  readonly since: number;
  readonly resolve: (answer: EmbeddingAnswer) => void;
  readonly reject: (error: unknown) => void;
  readonly forget: () => void;
}

/** How much of the last arrivals a new one changes. */
const smoothing = 0.05;
/** A pause says that the load is over, and no more. */
const gapMsMax = 1000;
/** How many of a batch that was refused are asked one by one at the same time. */
const aloneAtOnce = 4;

/**
 * Joins requests for another server into fewer: texts that come while it works go there together. Requests of one batch agree in everything
 * but their texts. A request is answered with its own vectors, and fails of its own texts alone.
 */
export class BatchedEmbeddings implements EmbeddingEngine {
  readonly #engine: EmbeddingEngine;
  readonly #options: BatchedEmbeddingsOptions;
  /** By what they have in common, in the order in which the first of each came. */
  readonly #groups = new Map<string, Set<Member>>();
  #waiting = 0;
  #running = 0;
  #costs: BatchCosts = noCosts;
  /** Milliseconds from one text to the next. */
  #gapMs = gapMsMax;
  #cameAtMs = -Infinity;
  #timer: NodeJS.Timeout | undefined;

  constructor(engine: EmbeddingEngine, options: BatchedEmbeddingsOptions) {
    this.#engine = engine;
    this.#options = options;
  }

  get name(): string {
    return this.#engine.name;
  }

  get status(): EngineStatus {
    return this.#engine.status;
  }

  /** As it was learnt; undefined while it is not known. */
  get cost(): BatchCost | undefined {
    return costOf(this.#costs);
  }

  ready(signal?: AbortSignal): Promise<EmbeddingModelInfo | undefined> {
    return this.#engine.ready(signal);
  }

  async embed(request: EmbeddingRequest, signal: AbortSignal): Promise<EmbeddingAnswer> {
    signal.throwIfAborted();
    const count = request.inputs.length;
    // As large as a batch by itself.
    if (count >= this.#options.sizeMax) return this.#engine.embed(request, signal);
    if (this.#waiting + count > this.#options.waitingMax) {
      throw new AutoglmError('queue_full', `${this.#waiting} texts wait for the engine ${this.name} already.`, { retryAfterSeconds: 1 });
    }
    this.#count(count);
    const key = groupOf(request);
    const { promise, resolve, reject } = Promise.withResolvers<EmbeddingAnswer>();
    const onAbort = () => {
      this.#leave(key, member);
      reject(signal.reason);
    };
    const member: Member = { request, signal, since: this.#options.now(), resolve, reject, forget: () => signal.removeEventListener('abort', onAbort) };
    signal.addEventListener('abort', onAbort, { once: true });
    const group = this.#groups.get(key) ?? new Set();
    this.#groups.set(key, group.add(member));
    this.#waiting += count;
    this.#look();
    return promise.finally(member.forget);
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    for (const group of this.#groups.values()) for (const { reject } of group) reject(new AutoglmError('engine_unavailable', `The engine ${this.name} was closed.`));
    this.#groups.clear();
    this.#waiting = 0;
    await this.#engine.close();
  }

  #count(texts: number): void {
    const nowMs = this.#options.now();
    const gapMs = Math.min(gapMsMax, nowMs - this.#cameAtMs) / texts;
    this.#gapMs += smoothing * (gapMs - this.#gapMs);
    this.#cameAtMs = nowMs;
  }

  #leave(key: string, member: Member): void {
    const group = this.#groups.get(key);
    if (!group?.delete(member)) return;
    this.#waiting -= member.request.inputs.length;
    if (group.size === 0) this.#groups.delete(key);
  }

  /** Sends what is due; the groups take their turns. */
  #look(): void {
    clearTimeout(this.#timer);
    let againMs = Infinity;
    for (const [key, group] of this.#groups) {
      const [first] = group;
      const waiting = [...group].reduce((sum, { request }) => sum + request.inputs.length, 0);
      const load = { waiting, waitedMs: this.#options.now() - (first as Member).since, running: this.#running, arrivals: 1 / Math.max(1e-3, this.#gapMs), cost: this.cost };
      const decision = decideBatch(load, this.#options);
      if (decision.send > 0) this.#send(key, group, decision.send);
      else againMs = Math.min(againMs, decision.againMs ?? Infinity);
      // What is left over after a batch is looked at again, with one more under way.
      if (decision.send > 0 && this.#groups.has(key)) againMs = 0;
    }
    if (againMs !== Infinity) this.#timer = setTimeout(() => this.#look(), Math.ceil(againMs));
  }

  /** Whole requests, in their order, as many texts as there is room for. The first goes in any case. */
  #send(key: string, group: Set<Member>, room: number): void {
    const members: Member[] = [];
    let size = 0;
    for (const member of group) {
      const count = member.request.inputs.length;
      if (members.length > 0 && size + count > room) break;
      members.push(member);
      size += count;
      this.#leave(key, member);
    }
    this.#running += 1;
    void this.#ask(members, size).finally(() => {
      this.#running -= 1;
      this.#look();
    });
  }

  /** Never rejects. Whoever leaves a batch is let go at once; when nobody is left it is given up. */
  async #ask(members: readonly Member[], size: number): Promise<void> {
    const [first] = members as [Member];
    if (members.length === 1) return this.#askAlone(first);
    const left = new AbortController();
    let present = members.length;
    const leave = () => {
      present -= 1;
      if (present === 0) left.abort(first.signal.reason);
    };
    for (const { signal } of members) signal.addEventListener('abort', leave, { once: true });
    const askedAtMs = this.#options.now();
    try {
      const answer = await this.#engine.embed(join(members.map(({ request }) => request)), left.signal);
      this.#costs = learn(this.#costs, size, this.#options.now() - askedAtMs);
      share(members, answer);
    } catch (error) {
      if (isOfOneText(error)) await this.#askEachAlone(members.filter(({ signal }) => !signal.aborted));
      else for (const { reject } of members) reject(error);
    } finally {
      for (const { signal } of members) signal.removeEventListener('abort', leave);
    }
  }

  async #askAlone({ request, signal, resolve, reject }: Member): Promise<void> {
    const askedAtMs = this.#options.now();
    try {
      const answer = await this.#engine.embed(request, signal);
      this.#costs = learn(this.#costs, request.inputs.length, this.#options.now() - askedAtMs);
      resolve(answer);
    } catch (error) {
      reject(error);
    }
  }

  /** One of them is wrong, and the server knows which: each learns of itself. */
  async #askEachAlone(members: readonly Member[]): Promise<void> {
    const rest = [...members];
    const work = async () => {
      for (let member = rest.shift(); member; member = rest.shift()) await this.#askAlone(member);
    };
    await Promise.all(Array.from({ length: aloneAtOnce }, work));
  }
}

/** What requests must agree in to be asked together. */
function groupOf({ fields, dimensions, truncate }: EmbeddingRequest): string {
  return JSON.stringify([{ ...fields, input: undefined }, dimensions, truncate]);
}

function join(requests: readonly EmbeddingRequest[]): EmbeddingRequest {
  const [first] = requests as [EmbeddingRequest];
  const inputs = requests.flatMap((request) => request.inputs);
  return { ...first, inputs, ...(first.fields && { fields: { ...first.fields, input: inputs } }) };
}

/** To each its own vectors. The server counts the tokens of all: each has its part by the length of its texts, and together they have all. */
function share(members: readonly Member[], { vectors, promptTokens, times }: EmbeddingAnswer): void {
  const lengths = members.map(({ request }) => request.inputs.reduce((sum, input) => sum + (typeof input === 'string' ? Buffer.byteLength(input) : input.length * 4), 0));
  const all = lengths.reduce((sum, length) => sum + length, 0);
  let at = 0;
  let [lengthSoFar, tokensSoFar] = [0, 0];
  for (const [index, { request, resolve }] of members.entries()) {
    const own = vectors.slice(at, (at += request.inputs.length));
    lengthSoFar += lengths[index] as number;
    const tokens = Math.round((promptTokens * lengthSoFar) / all) - tokensSoFar;
    tokensSoFar += tokens;
    resolve({ vectors: own, promptTokens: tokens, times });
  }
}

/** Refused for what was asked, and neither for want of room nor for who asks. */
function isOfOneText(error: unknown): boolean {
  return error instanceof AutoglmError && error.status >= 400 && error.status < 500 && ![401, 403, 404, 408, 429, 499].includes(error.status);
}
