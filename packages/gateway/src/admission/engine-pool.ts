import type { CatalogModel, Target } from '../common/model-catalog.ts';
import { ConcurrencyLimit, type ConcurrencySettings, type FirstPart } from './concurrency-limit.ts';

export interface PoolSettings extends Omit<ConcurrencySettings, 'max'> {
  readonly adaptive: boolean;
  /** Requests that may wait for other servers; an engine of ours has its own bound. */
  readonly queueMax: number;
}

/** So many more than its batch holds are sent to an engine of ours, as a share of it: the next one must be there when a place gets free. */
const aheadShare = 1 / 8;

/** The engines of one model, and how many requests at once they do well with. */
export class EnginePool {
  /** Whether what is counted are sequences, which an engine of ours batches, or requests. */
  readonly countsSequences: boolean;
  /** Requests of each lane that may wait. */
  readonly queueMax: number;
  /**
   * Engines do not take more than this, with both lanes; one of ours has so much room that a lane at twice its limit leaves the other's.
   */
  readonly max: number;
  readonly #engines: readonly PooledEngine[];

  constructor({ targets }: CatalogModel, settings: PoolSettings) {
    this.#engines = targets.map((target) => new PooledEngine(target, settings));
    this.countsSequences = targets.some(({ concurrency }) => concurrency !== undefined);
    this.queueMax = this.countsSequences ? targets.reduce((sum, target) => sum + roomToWait(target), 0) : settings.queueMax;
    this.max = targets.reduce((sum, target) => sum + roomOf(target, targets.length === 1), 0);
  }

  /** Of those that can answer; where none can, of all: what is wrong is theirs to say. */
  get limit(): number {
    return this.#sumOf(limitOf);
  }

  /** Who is sent while no more than so many are under way waits in no engine's own queue. */
  get places(): number {
    return this.#sumOf(placesOf);
  }

  /** Whether it must be told who answers: there are several, and what is learnt is learnt of one. */
  get wantsNames(): boolean {
    return this.#engines.length > 1 && this.#engines.some(({ adapts }) => adapts);
  }

  /** `name`: who answered; undefined where there is only one. */
  onFirstPart(name: string | undefined, part: FirstPart): void {
    this.#find(name)?.adapts?.add({ ...part, runningCount: part.runningCount / this.#engines.length });
  }

  onRefusal(name: string | undefined): void {
    this.#find(name)?.adapts?.onRefusal();
  }

  /** For people and metrics. */
  limits(): readonly { readonly engine: string; readonly limit: number }[] {
    return this.#engines.map(({ name, limit }) => ({ engine: name, limit }));
  }

  #sumOf(of: (engine: PooledEngine) => number): number {
    const [first] = this.#engines;
    if (this.#engines.length === 1) return of(first as PooledEngine);
    let sum = 0;
    for (const engine of this.#engines) if (engine.isUp) sum += of(engine);
    return sum > 0 ? sum : this.#engines.reduce((all, engine) => all + of(engine), 0);
  }

  #find(name: string | undefined): PooledEngine | undefined {
    return this.#engines.length === 1 ? this.#engines[0] : this.#engines.find((engine) => engine.name === name);
  }
}

class PooledEngine {
  readonly #target: Target;
  /** Absent: the limit is known, or is to be the most. */
  readonly adapts: ConcurrencyLimit | undefined;

  constructor(target: Target, { adaptive, initial, min, tolerance, toleranceMs }: PoolSettings) {
    this.#target = target;
    this.adapts =
      adaptive && target.concurrency === undefined
        ? new ConcurrencyLimit({ initial, min: Math.min(min, target.maxOutstanding), max: target.maxOutstanding, tolerance, toleranceMs })
        : undefined;
  }

  get name(): string {
    return this.#target.replica.name;
  }

  get isUp(): boolean {
    const { state } = this.#target.replica.status;
    return state === 'ready' || state === 'starting';
  }

  get limit(): number {
    const { concurrency, maxOutstanding } = this.#target;
    return this.adapts?.value ?? (concurrency === undefined ? maxOutstanding : Math.min(maxOutstanding, withAhead(concurrency)));
  }

  get places(): number {
    const { concurrency = Infinity, maxOutstanding } = this.#target;
    return Math.min(maxOutstanding, concurrency);
  }
}

const limitOf = ({ limit }: PooledEngine) => limit;
const placesOf = ({ places }: PooledEngine) => places;

/** The router gives a target no more than its bound. A lone engine of ours it leaves to itself, and that has room for two batches more. */
function roomOf({ concurrency, maxOutstanding }: Target, isAlone: boolean): number {
  if (concurrency === undefined) return maxOutstanding;
  return Math.min(3 * withAhead(concurrency), isAlone ? maxOutstanding + 2 * concurrency : maxOutstanding);
}

/** What an engine of ours takes in beyond those that are sent to it at once. */
function roomToWait({ concurrency = Infinity, maxOutstanding }: Target): number {
  return Math.max(0, maxOutstanding - withAhead(concurrency));
}

export function withAhead(concurrency: number): number {
  return concurrency + Math.max(1, Math.ceil(concurrency * aheadShare));
}
