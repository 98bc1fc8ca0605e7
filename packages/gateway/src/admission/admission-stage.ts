import type { ErrorCode, GatewayRequest, Lane, Stage } from '@open-autoglm/protocol';
import type { CatalogModel, ModelCatalog } from '../common/model-catalog.ts';
import { AdmittedAnswer, type AnswerFacts } from './admitted-answer.ts';
import { EnginePool, type PoolSettings } from './engine-pool.ts';
import { QuantilePredictor, type AnswerKind, type LengthPredictor } from './length-predictor.ts';
import { PromptSize } from './prompt-size.ts';
import { AdmissionQueue, type Clock, type QueueSettings } from './queue.ts';
import { Ticket } from './ticket.ts';

export interface AdmissionOptions extends QueueSettings {
  readonly pool: PoolSettings;
  readonly clock: Clock;
  /** Absent: by what answers of the same kind were like. */
  readonly predictor?: LengthPredictor | undefined;
}

/** A model's queue, at this moment. */
export interface AdmissionReading {
  readonly model: string;
  readonly lanes: Readonly<
    Record<Lane, { readonly waiting: number; readonly running: number; readonly refused: ReadonlyMap<ErrorCode, number> }>
  >;
  readonly limits: readonly { readonly engine: string; readonly limit: number }[];
}

export interface Admission {
  readonly stage: Stage;
  /** One of each model that was asked for. */
  read(): readonly AdmissionReading[];
}

/**
 * Lets as many requests to the engines of a model as they do well with; the others wait here, in the order of a policy, or are told to come
 * back.
 */
export function createAdmission(catalog: ModelCatalog, options: AdmissionOptions): Admission {
  const models = new Map<CatalogModel, ModelAdmission>();
  /** An engine that answers to two names has one queue. */
  const byEngines = new Map<string, ModelAdmission>();
  const predictor = options.predictor ?? new QuantilePredictor();
  const admissionOf = (model: CatalogModel) => {
    const known = models.get(model);
    if (known) return known;
    const engines = JSON.stringify(model.targets.map(({ replica }) => replica.name));
    const admission = byEngines.get(engines) ?? new ModelAdmission(model, options, predictor);
    byEngines.set(engines, admission);
    models.set(model, admission);
    return admission;
  };
  return {
    // The iterator asks for its place at its first part, as all stages do.
    stage: (request, next) => {
      const admission = admissionOf(catalog.find(request.model));
      return new AdmittedAnswer(admission.queue, admission.ticketOf(request), next, admission.onAnswer);
    },
    read: () => Array.from(byEngines.values(), (admission) => admission.read()),
  };
}

/** The queue of one model, and what is known of its requests. */
class ModelAdmission {
  readonly queue: AdmissionQueue;
  readonly #model: string;
  readonly #promptSize = new PromptSize();
  readonly #predictor: LengthPredictor;

  constructor(model: CatalogModel, options: AdmissionOptions, predictor: LengthPredictor) {
    this.#model = model.name;
    this.#predictor = predictor;
    this.queue = new AdmissionQueue(new EnginePool(model, options.pool), options, options.clock);
    for (const { replica } of model.targets)
      if (replica.takes === 'requests') replica.watch(({ state }) => state === 'ready' && this.queue.onRoom());
  }

  ticketOf(request: GatewayRequest): Ticket {
    const promptTokens = this.#promptSize.tokensOf(request);
    const sequences = this.queue.pool.countsSequences ? Math.max(1, request.choiceCount * (request.prompts?.length ?? 1)) : 1;
    return new Ticket({ request, promptTokens, sequences, expectedTokens: this.#predictor.predict(this.#kindOf(request, promptTokens)) });
  }

  readonly onAnswer = ({ request, promptTokens }: Ticket, facts: AnswerFacts): void => {
    if (facts.promptTokens !== undefined) this.#promptSize.learn(request, facts.promptTokens);
    if (facts.choiceCount > 0 && facts.outputTokens > 0)
      this.#predictor.learn(this.#kindOf(request, promptTokens), facts.outputTokens / facts.choiceCount);
  };

  read(): AdmissionReading {
    const { waiting, running, refused, pool } = this.queue;
    const lane = (name: Lane) => ({ waiting: waiting[name].length, running: running[name], refused: refused[name] });
    return { model: this.#model, lanes: { realtime: lane('realtime'), batch: lane('batch') }, limits: pool.limits() };
  }

  #kindOf({ tenant, maxTokens }: GatewayRequest, promptTokens: number): AnswerKind {
    return { tenant, model: this.#model, promptTokens, maxTokens };
  }
}
