/**
 * The path of `POST /v1/embeddings`. No text is generated, so none of the request path's stages has a part in it.
 *
 *   ingress    reads and checks the HTTP request                                          → 400, 404, 405, 413, 415, 503 draining
 *     ↓
 *   output     writes the vectors as JSON; alone encodes errors                           → every error below, in OpenAI's shape
 *     ↓
 *   this file  finds the model and who answers, waits for it, asks the next one where one fails → 404, 503 not ready, 503 all are ejected
 *     ↓
 *   engine     texts of all requests encoded together, or another server                  → 400 too long, 429 queue full, 502 crashed
 */
import { AutoglmError, toAutoglmError, type CacheMode, type EmbeddingAnswer, type EmbeddingEngine, type EmbeddingRequest, type EmitEvent } from '@open-autoglm/protocol';
import { beginTry, closedBreaker, learn, mayTry, type Breaker, type BreakerSettings, type Outcome } from './common/breaker.ts';
import type { EmbeddingCatalog, EmbeddingModel, EmbeddingTarget } from './common/embedding-catalog.ts';
import { Budget } from './router/budget.ts';
import { outcomeOf } from './router/replica-set.ts';
import type { RouterOptions } from './router/router-stage.ts';

/** A request on its way to an engine. */
export interface EmbeddingCall {
  /** The model's name as the client wrote it. */
  readonly model: string;
  /** Whose texts they are; absent: nobody's, and nothing is kept. */
  readonly tenant?: string | undefined;
  /** `off`: nothing is looked up or kept; `refresh`: everything is computed anew. `auto` when absent. */
  readonly cache?: CacheMode | undefined;
  readonly request: EmbeddingRequest;
  readonly signal: AbortSignal;
  readonly emit: EmitEvent;
}

export type EmbeddingPath = (call: EmbeddingCall) => Promise<EmbeddingAnswer>;

/** The router's options, as far as they concern embeddings. */
export type EmbeddingRouting = BreakerSettings & Pick<RouterOptions, 'triesMax' | 'retries' | 'panics' | 'now'>;

/** At the beginning, and after a quiet time, so many may be asked a second time at once. */
const retriesAtOnceMax = 100;

export function createEmbeddingPath(catalog: EmbeddingCatalog, readyTimeoutMs: number, routing: EmbeddingRouting): EmbeddingPath {
  const replicas = new EmbeddingReplicas(routing);
  return async (call) => {
    const model = catalog.find(call.model);
    const [only] = model.targets;
    if (only && !model.isRemote) return ask(only, call, false, readyTimeoutMs);
    return replicas.ask(model, call.signal, (target) => ask(target, call, true, readyTimeoutMs));
  };
}

/**
 * Who of several servers is asked for embeddings. Each has a breaker of its own for them, beside the one for its text: a server may fail at the
 * one and not at the other.
 */
class EmbeddingReplicas {
  readonly #routing: EmbeddingRouting;
  readonly #retries: Budget;
  readonly #breakers = new WeakMap<EmbeddingTarget, Breaker>();
  #turn = 0;

  constructor(routing: EmbeddingRouting) {
    this.#routing = routing;
    this.#retries = new Budget({ ...routing.retries, max: retriesAtOnceMax });
  }

  async ask(model: EmbeddingModel, signal: AbortSignal, ask: (target: EmbeddingTarget) => Promise<EmbeddingAnswer>): Promise<EmbeddingAnswer> {
    const { now, triesMax } = this.#routing;
    this.#retries.deposit();
    const targets = this.#inTurn(model).slice(0, triesMax);
    let failure: AutoglmError | undefined;
    for (const target of targets) {
      if (failure && !this.#mayRetry(failure)) break;
      this.#breakers.set(target, beginTry(this.#breakerOf(target), now(), this.#routing));
      try {
        const answer = await ask(target);
        this.#learn(target, 'answered');
        return answer;
      } catch (thrown) {
        failure = toAutoglmError(thrown);
        this.#learn(target, signal.aborted ? 'abandoned' : outcomeOf(failure));
        if (signal.aborted) break;
      }
    }
    throw failure ?? this.#refusal(model);
  }

  /** Those that are ready first, and of these each at its turn; none that is ejected, unless all are that still answer. */
  #inTurn({ targets }: EmbeddingModel): EmbeddingTarget[] {
    const now = this.#routing.now();
    this.#turn += 1;
    const rotated = targets.map((_, index) => targets[(index + this.#turn) % targets.length] as EmbeddingTarget);
    const isReady = ({ engine }: EmbeddingTarget) => engine.status.state === 'ready';
    const possible = rotated.filter((target) => mayTry(this.#breakerOf(target), now));
    if (possible.length === 0 && this.#routing.panics && targets.length > 1) return rotated.filter(isReady);
    return possible.toSorted((a, b) => Number(isReady(b)) - Number(isReady(a)));
  }

  #mayRetry(error: AutoglmError): boolean {
    // Where nothing was begun, nobody has done any work.
    const isUntouched = outcomeOf(error) === 'unreachable' || error.code === 'engine_unavailable';
    return error.retryable && (isUntouched || this.#retries.withdraw(this.#routing.now()));
  }

  #breakerOf(target: EmbeddingTarget): Breaker {
    return this.#breakers.get(target) ?? closedBreaker;
  }

  #learn(target: EmbeddingTarget, outcome: Outcome): void {
    this.#breakers.set(target, learn(this.#breakerOf(target), outcome, this.#routing.now(), this.#routing));
  }

  #refusal({ name, targets }: EmbeddingModel): AutoglmError {
    const now = this.#routing.now();
    const soonestMs = Math.min(...targets.map((target) => this.#breakerOf(target)).map((breaker) => (breaker.state === 'closed' ? now : breaker.untilMs)));
    return new AutoglmError('engine_unavailable', `No engine of the model ${JSON.stringify(name)} can be reached at present.`, { retryAfterSeconds: Math.max(1, Math.ceil((soonestMs - now) / 1000)) });
  }
}

async function ask({ engine, tier }: EmbeddingTarget, { request, signal, emit }: EmbeddingCall, isRemote: boolean, readyTimeoutMs: number): Promise<EmbeddingAnswer> {
  emit({ type: 'engine-chosen', engine: engine.name, tier, reason: isRemote ? 'turn' : 'only' });
  const waitsFrom = performance.now();
  if (engine.status.state !== 'ready' && !isRemote) {
    await readyWithin(engine, readyTimeoutMs, signal).finally(() => emit({ type: 'segment-end', segment: 'input', durationMs: performance.now() - waitsFrom, reason: 'model' }));
  }
  const askedAt = performance.now();
  const endSegments = (answer?: EmbeddingAnswer) => {
    const passedMs = performance.now() - askedAt;
    if (isRemote) return emit({ type: 'segment-end', segment: 'upstream', durationMs: passedMs });
    if (!answer?.times) return emit({ type: 'segment-end', segment: 'queue', durationMs: passedMs, reason: 'cut', choice: 0 });
    emit({ type: 'segment-end', segment: 'queue', durationMs: answer.times.queueMs, choice: 0 });
    emit({ type: 'segment-end', segment: 'prefill', durationMs: answer.times.computeMs, choice: 0 });
  };
  try {
    const answer = await engine.embed(request, signal);
    endSegments(answer);
    emit({ type: 'prompt-end', choice: 0, promptTokens: answer.promptTokens, cachedTokens: 0 });
    return answer;
  } catch (error) {
    endSegments();
    throw error;
  }
}

/** Rejects with `engine_unavailable` after the bound, with what keeps it from ever being ready, or with the signal's reason. */
async function readyWithin(engine: EmbeddingEngine, timeoutMs: number, signal: AbortSignal): Promise<void> {
  const late = new AbortController();
  const timer = setTimeout(() => {
    late.abort(new AutoglmError('engine_unavailable', `The embedding model is not ready yet: ${engine.status.detail}`, { retryAfterSeconds: 5 }));
  }, timeoutMs);
  try {
    await engine.ready(AbortSignal.any([signal, late.signal]));
  } finally {
    clearTimeout(timer);
  }
}
