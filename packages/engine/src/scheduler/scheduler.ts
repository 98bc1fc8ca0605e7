import { isDeepStrictEqual } from 'node:util';
import { AutoglmError, type Lane } from '@open-autoglm/protocol';
import type { DropOutcome, KvCache } from '../kv-cache/kv-cache.ts';
import { leavePlace, takePlace, type Sequence } from '../sequence.ts';
import { areEqual } from '../token-list.ts';
import { batchPlaces, LaneShare, placesFor } from './lane-share.ts';
import { chunkGranularity, countAdmissible, type PromptBudget, type SchedulerLimits } from './plan.ts';
import { chooseYielder } from './preemption.ts';
import { countLanes, defaultSharing, inTurn, laneOf, type SharingLimits } from './standing.ts';
import { chooseVictim } from './victim.ts';

export interface PlaceLimits extends SchedulerLimits {
  /** Requests that may wait for a place in the batch. */
  readonly maxQueue: number;
  /** Sequences share keys and values whatever their `cacheScope`. */
  readonly isSharedBetweenScopes?: boolean | undefined;
  /** `defaultSharing` when absent. */
  readonly sharing?: SharingLimits | undefined;
}

export interface SchedulerParts {
  readonly cache: KvCache;
  readonly limits: PlaceLimits;
  readonly now: () => number;
  /** Takes blocks out of a sequence whose context is full. */
  readonly dropBlocks: (sequence: Sequence) => DropOutcome;
}

/**
 * Who waits, whose prompt is read, who decodes: gives sequences their places in the batch and memory for their keys and values, and takes
 * both away. A sequence is in one of the three at a time. Computes nothing, and knows nothing of graphs.
 */
export class Scheduler {
  readonly #cache: KvCache;
  readonly #limits: PlaceLimits;
  readonly #sharing: SharingLimits;
  readonly #now: () => number;
  readonly #dropBlocks: (sequence: Sequence) => DropOutcome;
  readonly #laneShare: LaneShare;
  /** In the order of arrival, those that lost their place too. */
  #waiting: Sequence[] = [];
  #prefilling: Sequence[] = [];
  readonly #decoding = new Map<string, Sequence>();
  #suspensions = 0;
  /** Sequences that held a place when the step began. */
  #runningBefore = 0;
  /** The last that found no memory, or lost its own; undefined once any was given back, or that one left: nobody joins before. */
  #short: Sequence | undefined;

  constructor({ cache, limits, now, dropBlocks }: SchedulerParts) {
    this.#cache = cache;
    this.#limits = limits;
    this.#sharing = limits.sharing ?? defaultSharing;
    this.#now = now;
    this.#dropBlocks = dropBlocks;
    this.#laneShare = new LaneShare(this.#sharing.batchShareMin);
  }

  get isIdle(): boolean {
    return this.#waiting.length === 0 && this.runningCount === 0;
  }

  get waitingCount(): number {
    return this.#waiting.length;
  }

  /** Sequences that have a place. */
  get runningCount(): number {
    return this.#prefilling.length + this.#decoding.size;
  }

  /** How often a sequence lost its place. */
  get suspensions(): number {
    return this.#suspensions;
  }

  isDecoding(id: string): boolean {
    return this.#decoding.has(id);
  }

  /**
   * Throws `queue_full` where one more may not wait. Requests that will be let in at the next step wait for nothing, and are not counted.
   */
  checkQueue(): void {
    const queued = this.#waiting.length - (this.#limits.maxBatchSize - this.runningCount);
    if (queued < this.#limits.maxQueue) return;
    throw new AutoglmError('queue_full', `The engine has ${queued} requests waiting already.`, { retryAfterSeconds: 1 });
  }

  /** The last to arrive. */
  add(sequence: Sequence): void {
    this.#waiting.push(sequence);
  }

  /** Forgets a sequence, ended or not. Unknown ids are ignored. */
  remove(id: string): void {
    this.#waiting = this.#waiting.filter((sequence) => sequence.id !== id);
    this.#prefilling = this.#prefilling.filter((sequence) => sequence.id !== id);
    this.#decoding.delete(id);
    // One that waits gives nothing back; where memory is short for it alone, whoever comes next may want less.
    if (this.#cache.release(id) || this.#short?.id === id) this.#short = undefined;
  }

  /** Gives each sequence memory for its next tokens, the oldest first; where there is none, others lose theirs. */
  beginStep(): void {
    const byAge = this.#running.sort((a, b) => a.order - b.order);
    for (const sequence of byAge) {
      while (this.#isRunning(sequence) && !this.#makeRoomFor(sequence)) {
        const victim = chooseVictim(this.#running);
        if (!victim) throw noMemory();
        this.suspend(victim);
      }
    }
    this.#runningBefore = this.runningCount;
  }

  /**
   * Those that decode in this step, in the order of their slots, without those that the system had no memory to move. To be asked once a
   * step.
   */
  takeDecoding(): readonly Sequence[] {
    const lengthOf = (id: string) => {
      const { context, computed } = this.#withPlace(id);
      return context.rows(computed);
    };
    for (let left = this.#turnToDecode(); ; left = left.filter((id) => this.#decoding.has(id))) {
      if (left.length === 0) return [];
      const arranged = this.#cache.arrange(left, lengthOf);
      if (arranged.kind === 'arranged') return arranged.order.map((id) => this.#withPlace(id));
      this.suspend(this.#withPlace(arranged.sequence));
    }
  }

  /**
   * Sequences whose prompts are to be read in this step, in turn and lane by lane: those that are being read, then those that join. Whoever
   * asks for the next has read from the last, as far as the budget went.
   */
  *takePrompts(budget: PromptBudget): Generator<Sequence, void, void> {
    if (this.#prefilling.length + this.#waiting.length === 0) return;
    const turn = { ...this.#sharing, nowMs: this.#now() };
    const wantsBatch = [...this.#prefilling, ...this.#waiting].some((sequence) => laneOf(sequence) === 'batch');
    const read = { realtime: 0, batch: 0 };
    for (const lane of this.#laneShare.order(wantsBatch)) {
      const left = budget.left;
      yield* inTurn(this.#prefilling, lane, turn);
      yield* this.#takeJoining(lane, inTurn(this.#waiting, lane, turn), budget);
      read[lane] = left - budget.left;
    }
    if (wantsBatch) this.#laneShare.onPrompts(read);
  }

  /** Its prompt was read to its end. */
  beginDecoding(sequence: Sequence): void {
    this.#prefilling = this.#prefilling.filter((other) => other !== sequence);
    this.#decoding.set(sequence.id, sequence);
  }

  /** Those that came right after it with the same prompt and wait, other choices of one request: they decode from where it stands. */
  takeTwins(parent: Sequence): readonly Sequence[] {
    const twins: Sequence[] = [];
    for (;;) {
      const index = this.#waiting.findIndex(({ order }) => order === parent.order + twins.length + 1);
      const twin = this.#waiting[index];
      if (!twin || !this.#fork(parent, twin)) return twins;
      this.#waiting.splice(index, 1);
      twins.push(twin);
    }
  }

  /** It waits for memory, and then computes again what has gone meanwhile. */
  suspend(sequence: Sequence): void {
    this.#setAside(sequence);
    this.#short = sequence;
  }

  get #running(): Sequence[] {
    return [...this.#prefilling, ...this.#decoding.values()];
  }

  #isRunning(sequence: Sequence): boolean {
    return this.#decoding.has(sequence.id) || this.#prefilling.includes(sequence);
  }

  #withPlace(id: string): Sequence {
    return (this.#decoding.get(id) ?? this.#prefilling.find((other) => other.id === id)) as Sequence;
  }

  #makeRoomFor(sequence: Sequence): boolean {
    const { id, computed, context, tokens } = sequence;
    if (context.isFull(computed)) {
      const outcome = this.#dropBlocks(sequence);
      if (outcome === 'lost') this.suspend(sequence);
      if (outcome !== 'dropped') return outcome === 'lost';
    }
    if (this.#decoding.has(id)) return this.#cache.reserve(id, context.rows(computed + 1));
    // A prompt was given memory for all of it, unless it wants again what it gave away.
    return context.droppedTokens === 0 || this.#cache.reserve(id, context.rowsWanted(tokens.length + 1));
  }

  #setAside(sequence: Sequence): void {
    this.#cache.suspend(sequence.id, sequence.tokens.all, sequence.computed);
    this.#prefilling = this.#prefilling.filter((other) => other !== sequence);
    this.#decoding.delete(sequence.id);
    leavePlace(sequence, this.#now());
    sequence.delays.pause();
    const younger = this.#waiting.findIndex(({ order }) => order > sequence.order);
    this.#waiting.splice(younger === -1 ? this.#waiting.length : younger, 0, sequence);
    this.#suspensions += 1;
  }

  /** With time slices, not always all that could. */
  #turnToDecode(): string[] {
    const ids = [...this.#decoding.keys()];
    if (this.#sharing.batchYields !== 'time_slice') return ids;
    const running = countLanes(this.#running);
    if (running.realtime === 0 || running.batch === 0 || this.#laneShare.takeStep()) return ids;
    return ids.filter((id) => laneOf(this.#decoding.get(id) as Sequence) === 'realtime');
  }

  /** Lets those of a lane in that wait, in turn, as far as the budget goes; gives those whose prompts are to be read. */
  *#takeJoining(lane: Lane, waiting: Sequence[], budget: PromptBudget): Generator<Sequence, void, void> {
    // One batch at a time is filled at once, however long it takes to read.
    for (let next = waiting.shift(); next && (budget.hasRoom || !this.#limits.continuous); next = waiting.shift()) {
      // Twins of the one before may have joined along with it.
      if (!this.#waiting.includes(next)) continue;
      if (!this.#join(lane, next)) return;
      if (next.generated > 0 && next.computed >= next.prompt.length) {
        this.#decoding.set(next.id, next);
        continue;
      }
      this.#prefilling.push(next);
      yield next;
    }
  }

  /** Gives a sequence a place and memory, another's where nobody has any to spare; false: it goes on waiting. */
  #join(lane: Lane, sequence: Sequence): boolean {
    // Where nothing runs, nobody will give memory back: whoever waits is tried whatever was found before.
    if (this.runningCount === 0) this.#short = undefined;
    if ((this.#short || this.#freePlaces(lane) <= 0) && !this.#giveWay(sequence)) return false;
    while (!this.#acquire(sequence)) {
      if (this.runningCount === 0) throw noMemory();
      if (this.#giveWay(sequence)) continue;
      this.#short = sequence;
      return false;
    }
    this.#waiting.splice(this.#waiting.indexOf(sequence), 1);
    return true;
  }

  #freePlaces(lane: Lane): number {
    const free = countAdmissible(this.runningCount, this.#runningBefore, this.#limits);
    return placesFor(lane, free, countLanes(this.#running), countLanes(this.#waiting), this.#batchPlacesMin);
  }

  get #batchPlacesMin(): number {
    return batchPlaces(this.#limits.maxBatchSize, this.#sharing.batchShareMin);
  }

  /** Whether another sequence has given its place to this one. */
  #giveWay(sequence: Sequence): boolean {
    if (!this.#limits.continuous) return false;
    const yielder = chooseYielder(this.#running, sequence, { ...this.#sharing, batchPlacesMin: this.#batchPlacesMin, nowMs: this.#now() });
    if (yielder) this.#setAside(yielder);
    return yielder !== undefined;
  }

  #acquire(sequence: Sequence): boolean {
    const { bounds, wholeTokens } = sequence.context;
    const found = this.#cache.acquire({
      sequence: sequence.id,
      tokens: sequence.tokens.all,
      promptLength: sequence.prompt.length,
      scope: this.#scopeOf(sequence),
      // Those that run will soon want a block each: without it, whoever joins would be the next to go.
      spareTokens: this.runningCount * chunkGranularity,
      ...(bounds && { tokensMax: bounds.tokensMax, findableTokens: wholeTokens }),
    });
    if (found === undefined) return false;
    takePlace(sequence, found, this.#now());
    sequence.delays.begin();
    return true;
  }

  #scopeOf({ request }: Sequence): string {
    return this.#limits.isSharedBetweenScopes ? '' : (request.cacheScope ?? '');
  }

  #fork(parent: Sequence, child: Sequence): boolean {
    const isTwin =
      child.generated === 0 &&
      this.#scopeOf(child) === this.#scopeOf(parent) &&
      areEqual(child.prompt, parent.prompt) &&
      isDeepStrictEqual(child.context.bounds, parent.context.bounds);
    if (!isTwin || !this.#limits.continuous || this.#freePlaces(laneOf(child)) <= 0) return false;
    if (!this.#cache.fork(parent.id, child.id, parent.context.rows(parent.prompt.length))) return false;
    child.context.continueFrom(parent.context);
    takePlace(child, parent.prompt.length, this.#now());
    this.#decoding.set(child.id, child);
    return true;
  }
}

function noMemory(): AutoglmError {
  return new AutoglmError('engine_failed', 'The system has no memory left for the KV cache of a single sequence.');
}
