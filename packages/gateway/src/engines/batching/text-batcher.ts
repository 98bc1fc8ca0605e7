import { AutoglmError, type Lane, type TextsRequest } from '@open-autoglm/protocol';
import { costOf, learn, noCosts, type BatchCost, type BatchCosts } from './batch-costs.ts';
import { BatchLane, type BatchLaneLoad } from './batch-lane.ts';
import { decideBatch, type BatchBounds } from './batch-size.ts';

export interface TextBatcherOptions extends BatchBounds {
  /** Texts of each lane that may wait. */
  readonly waitingMax: number;
  /** Of the texts that are sent while both lanes have some waiting, the batch lane has at least this share. */
  readonly batchShareMin: number;
  /** Milliseconds. */
  readonly now: () => number;
}

/** A call that takes several texts at once. */
export interface BatchableCall<Request extends TextsRequest, Answer extends BatchableAnswer> {
  /** Of the engine. */
  readonly name: string;
  /** Where the client's words have the texts. */
  readonly field: 'input' | 'prompt';
  ask(request: Request, signal: AbortSignal): Promise<Answer>;
  /** What requests must agree in to be asked together, beside their lane and what the client wrote. */
  readonly commonOf: (request: Request) => unknown;
  /** The answer for the texts from `begin` to before `end`. */
  readonly slice: (answer: Answer, begin: number, end: number) => Answer;
}

export interface BatchableAnswer {
  readonly promptTokens: number;
}

/** A request on its way into a batch. */
interface Member<Request, Answer> {
  readonly request: Request;
  readonly signal: AbortSignal;
  readonly since: number;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
  readonly forget: () => void;
}

/** How much of the last arrivals a new one changes. */
const smoothing = 0.05;
/** A pause says that the load is over, and no more. */
const gapMsMax = 1000;
/** How many of a batch that was refused are asked one by one at the same time. */
const aloneAtOnce = 4;

/** Requests of one lane that may be asked together. */
interface Group<Request, Answer> {
  readonly members: Set<Member<Request, Answer>>;
  /** Of all members. */
  texts: number;
}

/**
 * Joins requests for another server into fewer: texts that come while it works go there together. Requests of one batch agree in everything
 * but their texts. A request is answered with its own part, and fails of its own texts alone. Those of the batch lane give way to real
 * time.
 */
export class TextBatcher<Request extends TextsRequest, Answer extends BatchableAnswer> {
  readonly #call: BatchableCall<Request, Answer>;
  readonly #options: TextBatcherOptions;
  readonly #batchLane: BatchLane;
  /** Of each lane by what they have in common, in the order of their turns. */
  readonly #groups: Readonly<Record<Lane, Map<string, Group<Request, Answer>>>> = { realtime: new Map(), batch: new Map() };
  readonly #waiting: Record<Lane, number> = { realtime: 0, batch: 0 };
  readonly #running: Record<Lane, number> = { realtime: 0, batch: 0 };
  #costs: BatchCosts = noCosts;
  /** Milliseconds from one text in real time to the next. */
  #gapMs = gapMsMax;
  #cameAtMs = -Infinity;
  #timer: NodeJS.Timeout | undefined;
  /** When the timer is due; no earlier look is needed but by what comes or ends. */
  #lookAtMs = Infinity;

  constructor(call: BatchableCall<Request, Answer>, options: TextBatcherOptions) {
    this.#call = call;
    this.#options = options;
    this.#batchLane = new BatchLane(options);
  }

  /** As it was learnt; undefined while it is not known. */
  get cost(): BatchCost | undefined {
    return costOf(this.#costs);
  }

  async ask(request: Request, signal: AbortSignal): Promise<Answer> {
    signal.throwIfAborted();
    const {
      inputs: { length: count },
      lane = 'realtime',
    } = request;
    if (lane === 'realtime') {
      this.#batchLane.onRealtime(this.#options.now());
      if (count >= this.#options.sizeMax) return this.#askWhole(request, signal);
    }
    const waiting = this.#waiting[lane];
    if (waiting + count > this.#options.waitingMax) {
      throw new AutoglmError('queue_full', `${waiting} texts wait for the engine ${this.#call.name} already.`, { retryAfterSeconds: 1 });
    }
    if (lane === 'realtime') this.#count(count);
    // Whose `user` it is belongs to it, too: a vendor holds whom a call names to account for all of it.
    const key = JSON.stringify([{ ...request.fields, [this.#call.field]: undefined }, this.#call.commonOf(request)]);
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const onAbort = () => {
      this.#leave(lane, key, member);
      reject(signal.reason);
    };
    const member: Member<Request, Answer> = {
      request,
      signal,
      since: this.#options.now(),
      resolve,
      reject,
      forget: () => signal.removeEventListener('abort', onAbort),
    };
    signal.addEventListener('abort', onAbort, { once: true });
    const group = this.#groups[lane].get(key) ?? { members: new Set(), texts: 0 };
    group.members.add(member);
    group.texts += count;
    this.#groups[lane].set(key, group);
    this.#waiting[lane] += count;
    this.#onArrival(lane, group);
    return promise.finally(member.forget);
  }

  /** Whoever waits is told that the engine was closed. */
  close(): void {
    this.#stopTimer();
    for (const groups of Object.values(this.#groups)) {
      for (const { members } of groups.values())
        for (const { reject } of members) reject(new AutoglmError('engine_unavailable', `The engine ${this.#call.name} was closed.`));
      groups.clear();
    }
    this.#waiting.realtime = this.#waiting.batch = 0;
  }

  #count(texts: number): void {
    const nowMs = this.#options.now();
    const gapMs = Math.min(gapMsMax, nowMs - this.#cameAtMs) / texts;
    this.#gapMs += smoothing * (gapMs - this.#gapMs);
    this.#cameAtMs = nowMs;
  }

  #leave(lane: Lane, key: string, member: Member<Request, Answer>): void {
    const group = this.#groups[lane].get(key);
    if (!group?.members.delete(member)) return;
    const { length: count } = member.request.inputs;
    group.texts -= count;
    this.#waiting[lane] -= count;
    if (group.members.size === 0) this.#groups[lane].delete(key);
  }

  get #load(): BatchLaneLoad {
    return { running: this.#running, waiting: this.#waiting, nowMs: this.#options.now() };
  }

  /**
   * Looks at the group alone that something has come to: all are looked at where that makes a call, and there may be as many groups as
   * requests.
   */
  #onArrival(lane: Lane, group: Group<Request, Answer>): void {
    if (this.#room(lane) === 0) return;
    const { send, againMs } = this.#decide(lane, group, this.cost, this.#options.now());
    if (send > 0) this.#look();
    else this.#lookIn(againMs ?? Infinity);
  }

  /** Sends what is due, real time first; the groups of a lane take their turns. */
  #look(): void {
    this.#stopTimer();
    this.#lookIn(Math.min(this.#lookAt('realtime'), this.#lookAt('batch')));
  }

  /** How long until it is looked at again. */
  #lookAt(lane: Lane): number {
    let againMs = Infinity;
    const groups = this.#groups[lane];
    const { cost } = this;
    const nowMs = this.#options.now();
    for (const [key, group] of groups) {
      const room = this.#room(lane);
      // It is looked at again when something ends.
      if (room === 0) break;
      const decision = this.#decide(lane, group, cost, nowMs);
      if (decision.send === 0) {
        againMs = Math.min(againMs, decision.againMs ?? Infinity);
        continue;
      }
      this.#send(lane, key, group.members, Math.min(decision.send, room));
      // What is left over has its turn after the others, in this same round, with one more under way.
      if (groups.delete(key)) groups.set(key, group);
    }
    return againMs;
  }

  #room(lane: Lane): number {
    return lane === 'realtime' ? this.#options.sizeMax : this.#batchLane.room(this.#load);
  }

  #decide(
    lane: Lane,
    { members, texts }: Group<Request, Answer>,
    cost: BatchCost | undefined,
    nowMs: number,
  ): ReturnType<typeof decideBatch> {
    const [first] = members;
    return decideBatch(
      {
        waiting: texts,
        waitedMs: nowMs - (first as Member<Request, Answer>).since,
        running: this.#running[lane],
        arrivals: 1 / Math.max(1e-3, this.#gapMs),
        cost,
      },
      this.#options,
    );
  }

  #lookIn(againMs: number): void {
    const atMs = this.#options.now() + againMs;
    if (atMs >= this.#lookAtMs) return;
    clearTimeout(this.#timer);
    this.#lookAtMs = atMs;
    this.#timer = setTimeout(() => this.#look(), Math.ceil(againMs));
  }

  #stopTimer(): void {
    clearTimeout(this.#timer);
    this.#lookAtMs = Infinity;
  }

  /** Whole requests, in their order, as many texts as there is room for. The first goes in any case. */
  #send(lane: Lane, key: string, waiting: ReadonlySet<Member<Request, Answer>>, room: number): void {
    const members: Member<Request, Answer>[] = [];
    let size = 0;
    for (const member of waiting) {
      const count = member.request.inputs.length;
      if (members.length > 0 && size + count > room) break;
      members.push(member);
      size += count;
      this.#leave(lane, key, member);
    }
    this.#begin(lane, size);
    void this.#ask(members, size).finally(() => this.#end(lane));
  }

  #begin(lane: Lane, texts: number): void {
    this.#batchLane.onSend(lane, texts, this.#load);
    this.#running[lane] += 1;
  }

  #end(lane: Lane): void {
    this.#running[lane] -= 1;
    this.#look();
  }

  /** As large as a batch by itself: it goes at once, and the batch lane is owed its share of it. */
  async #askWhole(request: Request, signal: AbortSignal): Promise<Answer> {
    this.#begin('realtime', request.inputs.length);
    try {
      const answer = this.#askOne(request, signal);
      this.#look();
      return await answer;
    } finally {
      this.#end('realtime');
    }
  }

  /** Never rejects. Whoever leaves a batch is let go at once; when nobody is left it is given up. */
  async #ask(members: readonly Member<Request, Answer>[], size: number): Promise<void> {
    const [first] = members as readonly [Member<Request, Answer>];
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
      const answer = await this.#call.ask(
        join(
          members.map(({ request }) => request),
          this.#call.field,
        ),
        left.signal,
      );
      this.#costs = learn(this.#costs, size, this.#options.now() - askedAtMs);
      this.#share(members, answer);
    } catch (error) {
      if (isOfOneText(error)) await this.#askEachAlone(members.filter(({ signal }) => !signal.aborted));
      else for (const { reject } of members) reject(error);
    } finally {
      for (const { signal } of members) signal.removeEventListener('abort', leave);
    }
  }

  async #askAlone({ request, signal, resolve, reject }: Member<Request, Answer>): Promise<void> {
    await this.#askOne(request, signal).then(resolve, reject);
  }

  async #askOne(request: Request, signal: AbortSignal): Promise<Answer> {
    const askedAtMs = this.#options.now();
    const answer = await this.#call.ask(request, signal);
    this.#costs = learn(this.#costs, request.inputs.length, this.#options.now() - askedAtMs);
    return answer;
  }

  /** One of them is wrong, and the server knows which: each learns of itself. */
  async #askEachAlone(members: readonly Member<Request, Answer>[]): Promise<void> {
    const rest = [...members];
    const work = async () => {
      for (let member = rest.shift(); member; member = rest.shift()) await this.#askAlone(member);
    };
    await Promise.all(Array.from({ length: aloneAtOnce }, work));
  }

  /**
   * To each its own part. The server counts the tokens of all: each has its part by the length of its texts, and together they have all.
   */
  #share(members: readonly Member<Request, Answer>[], answer: Answer): void {
    const bytes = members.map(({ request }) =>
      request.inputs.reduce((sum, input) => sum + (typeof input === 'string' ? Buffer.byteLength(input) : input.length * 4), 0),
    );
    // Nothing but empty texts, of which a server may still count beginnings: each has as many.
    const lengths = bytes.some((length) => length > 0) ? bytes : members.map(({ request }) => request.inputs.length);
    const all = lengths.reduce((sum, length) => sum + length, 0);
    let at = 0;
    let [lengthSoFar, tokensSoFar] = [0, 0];
    for (const [index, { request, resolve }] of members.entries()) {
      const own = this.#call.slice(answer, at, (at += request.inputs.length));
      lengthSoFar += lengths[index] as number;
      const promptTokens = Math.round((answer.promptTokens * lengthSoFar) / all) - tokensSoFar;
      tokensSoFar += promptTokens;
      resolve({ ...own, promptTokens });
    }
  }
}

function join<Request extends TextsRequest>(requests: readonly Request[], field: string): Request {
  const [first] = requests as readonly [Request];
  const inputs = requests.flatMap((request) => request.inputs);
  return { ...first, inputs, ...(first.fields && { fields: { ...first.fields, [field]: inputs } }) };
}

/** Refused for what was asked, and neither for want of room nor for who asks. */
function isOfOneText(error: unknown): boolean {
  return (
    error instanceof AutoglmError && error.status >= 400 && error.status < 500 && ![401, 403, 404, 408, 429, 499].includes(error.status)
  );
}
