import { AutoglmError, type EmbeddingRequest, type Lane } from '@open-autoglm/protocol';
import { defaultSharing } from '../scheduler/standing.ts';
import type { Encoder } from './encoder.ts';
import { LanePasses } from './lane-passes.ts';
import { readInputs } from './read-inputs.ts';

export interface EmbeddingCoreOptions {
  /** Texts of each lane that may wait; a request that finds nobody of its lane waiting is taken whatever its size. */
  readonly maxQueue: number;
  /** As `SharingLimits.batchShareMin`. */
  readonly batchShareMin?: number;
  /** Milliseconds. */
  readonly now?: () => number;
}

/** A request whose vectors are all there. */
export interface FinishedRequest {
  readonly id: string;
  /** The vectors one after another, in the order of the inputs. */
  readonly vectors: Float32Array;
  /** Of each input. */
  readonly tokenCounts: readonly number[];
  readonly queueMs: number;
  readonly computeMs: number;
}

type Clock = () => number;

interface Text {
  /** Among the inputs. */
  readonly index: number;
  readonly tokens: readonly number[];
}

/** A request on its way through the passes. */
class Pending {
  readonly id: string;
  readonly lane: Lane;
  readonly #addedAtMs: number;
  readonly #tokenCounts: readonly number[];
  readonly #dimensions: number;
  readonly #vectors: Float32Array;
  /** Shortest first: equal lengths then come into a pass together. */
  readonly #texts: readonly Text[];
  #next = 0;
  #startedAtMs: number | undefined;

  constructor(
    { id, lane = 'realtime' }: Pick<EmbeddingRequest, 'id' | 'lane'>,
    inputs: readonly (readonly number[])[],
    dimensions: number,
    nowMs: number,
  ) {
    this.id = id;
    this.lane = lane;
    this.#addedAtMs = nowMs;
    this.#dimensions = dimensions;
    this.#tokenCounts = inputs.map(({ length }) => length);
    this.#vectors = new Float32Array(inputs.length * dimensions);
    this.#texts = inputs.map((tokens, index) => ({ index, tokens })).toSorted((a, b) => a.tokens.length - b.tokens.length);
  }

  get waiting(): number {
    return this.#texts.length - this.#next;
  }

  /** Lengths of those that wait, as far as a pass could take them. */
  lengths(max: number): number[] {
    return this.#texts.slice(this.#next, this.#next + max).map(({ tokens }) => tokens.length);
  }

  take(count: number, nowMs: number): readonly Text[] {
    if (count > 0) this.#startedAtMs ??= nowMs;
    this.#next += count;
    return this.#texts.slice(this.#next - count, this.#next);
  }

  put(index: number, vector: Float32Array): void {
    this.#vectors.set(vector, index * this.#dimensions);
  }

  finish(nowMs: number): FinishedRequest {
    const startedAtMs = this.#startedAtMs ?? nowMs;
    return {
      id: this.id,
      vectors: this.#vectors,
      tokenCounts: this.#tokenCounts,
      queueMs: startedAtMs - this.#addedAtMs,
      computeMs: nowMs - startedAtMs,
    };
  }
}

/** Requests in, vectors out: texts of all that wait are encoded together, a pass at a time. */
export class EmbeddingCore {
  readonly #encoder: Encoder;
  readonly #maxQueue: number;
  readonly #now: Clock;
  readonly #passes: LanePasses;
  readonly #pending = new Map<string, Pending>();

  constructor(
    encoder: Encoder,
    { maxQueue, batchShareMin = defaultSharing.batchShareMin, now = () => performance.now() }: EmbeddingCoreOptions,
  ) {
    this.#encoder = encoder;
    this.#passes = new LanePasses({ passTokens: encoder.passTokens, batchShareMin });
    this.#maxQueue = maxQueue;
    this.#now = now;
  }

  get idle(): boolean {
    return this.#pending.size === 0;
  }

  /** Throws `queue_full`, `context_length_exceeded`, `invalid_value`. */
  add(request: Pick<EmbeddingRequest, 'id' | 'inputs' | 'dimensions' | 'truncate' | 'lane'>): void {
    const addedAtMs = this.#now();
    const {
      info: { dimensions, contextLength },
      vocabulary,
    } = this.#encoder;
    if (request.dimensions !== undefined && request.dimensions !== dimensions) {
      throw new AutoglmError(
        'invalid_value',
        `Invalid value for 'dimensions': this model makes vectors of ${dimensions} elements, and they cannot be shortened.`,
        { param: 'dimensions' },
      );
    }
    const { lane = 'realtime' } = request;
    const waiting = this.#waiting(lane);
    if (waiting > 0 && waiting + request.inputs.length > this.#maxQueue) {
      throw new AutoglmError(
        'queue_full',
        `${waiting} texts of the ${lane} lane wait for their embeddings already (embeddings.max_queue is ${this.#maxQueue} for each lane).`,
        { retryAfterSeconds: 1 },
      );
    }
    this.#pending.set(request.id, new Pending(request, readInputs(request, { vocabulary, contextLength }), dimensions, addedAtMs));
  }

  /** What has not been encoded yet never is. */
  abort(id: string): void {
    this.#pending.delete(id);
  }

  /** One pass. Returns the requests that it completed. */
  step(): FinishedRequest[] {
    const startedAtMs = this.#now();
    const realtime = this.#ofLane('realtime');
    const batch = this.#ofLane('batch');
    // No text is empty, so no pass takes more texts than tokens.
    const lengthsOf = (lane: readonly Pending[]) => lane.map((request) => request.lengths(this.#encoder.passTokens));
    const plan = this.#passes.plan({ realtime: lengthsOf(realtime), batch: lengthsOf(batch) }, startedAtMs);
    const requests = [...realtime, ...batch];
    const taken = [...plan.realtime, ...plan.batch];
    const texts = requests
      .flatMap((request, index) => request.take(taken[index] as number, startedAtMs).map((text) => ({ request, ...text })))
      .toSorted((a, b) => a.tokens.length - b.tokens.length);
    const vectors = this.#encoder.encode(texts.map(({ tokens }) => tokens));
    for (const [place, { request, index }] of texts.entries()) request.put(index, vectors[place] as Float32Array);
    const finished = requests.filter(({ waiting }) => waiting === 0);
    for (const { id } of finished) this.#pending.delete(id);
    const endedAtMs = this.#now();
    return finished.map((request) => request.finish(endedAtMs));
  }

  #ofLane(lane: Lane): Pending[] {
    return [...this.#pending.values()].filter((request) => request.lane === lane);
  }

  #waiting(lane: Lane): number {
    return this.#ofLane(lane).reduce((sum, { waiting }) => sum + waiting, 0);
  }
}
