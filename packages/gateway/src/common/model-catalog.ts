import { createHash } from 'node:crypto';
import {
  AutoglmError,
  type EngineStats,
  type EngineStatus,
  type ModelInfo,
  type PromptReplica,
  type Replica,
} from '@open-autoglm/protocol';
import type { DevicePlace } from './device-registry.ts';

/** A replica in its place. */
export interface Target {
  readonly replica: Replica;
  readonly tier: string;
  /** Its share of the work, relative to its fellows'. */
  readonly weight: number;
  /** More requests than this at once are not sent to it. */
  readonly maxOutstanding: number;
  /** Where it runs, if that is known: nothing is sent to a device that is not there. */
  readonly device?: DevicePlace | undefined;
  /** Sequences that it works on at once, where that is known: an engine's batch. */
  readonly concurrency?: number | undefined;
  /** What decides its answers beside its model: settings, or another server's address and name for it. */
  readonly variant?: string;
}

/** A model that can be asked for, and who answers: at least one. */
export interface CatalogModel {
  readonly name: string;
  readonly targets: readonly Target[];
}

/** What is known of a model that can answer now. `info`: of one that runs here. */
export interface ListedModel extends CatalogModel {
  readonly info: ModelInfo | undefined;
}

/** A replica as it is at this moment. */
export interface ListedReplica {
  readonly name: string;
  /** The name under which clients ask for its model. */
  readonly model: string;
  readonly tier: string;
  readonly status: EngineStatus;
  /** Of one that runs here, as it last reported. */
  readonly stats: EngineStats | undefined;
}

export interface Readiness {
  /** Whether a request would be answered now. */
  readonly isReady: boolean;
  readonly status: EngineStatus;
  readonly replicas: readonly ListedReplica[];
}

/** What the answers of a model depend on beside the request. */
export interface ModelIdentity {
  /** Its own name, whatever other name it was asked for by. */
  readonly name: string;
  /** Differs where weights, settings or servers do. */
  readonly fingerprint: string;
  /** Whether all who answer for it take prompts: nothing of the client's body but what was read reaches them. */
  readonly takesPrompts: boolean;
}

/** Which names are known, and who answers for them. */
export interface ModelCatalog {
  /** Whether `find` would find it. */
  has(name: string): boolean;
  /** Throws `model_not_found`. */
  find(name: string): CatalogModel;
  /**
   * Whether all who answer for this name take requests as they are; false for what is no model's name. Of a name that stands for several
   * models, whether those do that a request with images may go to.
   */
  isRemote(name: unknown, showsImages?: () => boolean): boolean;
  /**
   * The model whose chat template makes the prompts, once it can answer; undefined when every replica that can answer takes
   * requests as they are. Throws `model_not_found`. Rejects with `engine_unavailable` after the bound, or with the signal's reason.
   */
  rendering(name: string, signal: AbortSignal): Promise<ModelInfo> | undefined;
  /** How the replica whose template `rendering` gives counts tokens; undefined where no replica takes prompts. Throws `model_not_found`. */
  tokens(name: string): PromptReplica['countTokens'] | undefined;
  /** Undefined while a model that runs here has not been loaded, and for what is no model's name. */
  identity(name: string): ModelIdentity | undefined;
  /** Models that can answer now. */
  list(): readonly ListedModel[];
  readiness(): Readiness;
}

/** Names that are no model's here, and that an error speaks of all the same. */
export interface OtherNames {
  /** Stands for several models. */
  readonly cascade?: string | undefined;
  /** Of the model that makes embeddings here. */
  readonly embeddings?: string | undefined;
}

/** A catalog of these models. A model that runs here can also be asked for by the name of the file or package that it came from. */
export function createCatalog(
  models: readonly CatalogModel[],
  readyTimeoutMs: number,
  { cascade, embeddings }: OtherNames = {},
): ModelCatalog {
  const byName = new Map(models.map((model) => [model.name, model]));
  const renderers = new Map(
    models.flatMap((model) => {
      const target = model.targets.find(({ replica }) => replica.takes === 'prompts');
      return target ? [[model, new Rendering(target.replica as PromptReplica, readyTimeoutMs)] as const] : [];
    }),
  );
  const identities = new WeakMap<CatalogModel, KnownIdentity>();
  const isListed = (model: CatalogModel) => model.targets.some(({ replica }) => replica.status.state === 'ready');
  const known = (name: string) => byName.get(name) ?? models.find((candidate) => renderers.get(candidate)?.info?.source === name);
  const find = (name: string): CatalogModel => {
    const model = known(name);
    if (model) return model;
    const sources = models.map((candidate) => renderers.get(candidate)?.info?.source).filter((source) => source !== undefined);
    const names = [...new Set([...byName.keys(), ...(cascade === undefined ? [] : [cascade]), ...sources])].join(', ');
    const problem = name === embeddings ? 'makes embeddings and writes no text' : 'does not exist';
    throw new AutoglmError('model_not_found', `The model ${JSON.stringify(name)} ${problem}. Known models: ${names}.`, { param: 'model' });
  };
  return {
    has: (name) => known(name) !== undefined,
    find,
    isRemote: (name) =>
      typeof name === 'string' && (byName.get(name)?.targets.every(({ replica }) => replica.takes === 'requests') ?? false),
    rendering(name, signal) {
      const model = find(name);
      const renderer = renderers.get(model);
      // Another server need not wait for the model that runs here.
      const isNeeded =
        renderer?.isReady || !model.targets.some(({ replica }) => replica.takes === 'requests' && replica.status.state === 'ready');
      return isNeeded ? renderer?.ready(signal) : undefined;
    },
    tokens: (name) => renderers.get(find(name))?.countTokens,
    identity(name) {
      const model = known(name);
      const renderer = model && renderers.get(model);
      return model && (!renderer || renderer.info) ? identify(model, renderer?.info, identities) : undefined;
    },
    list: () => models.filter(isListed).map((model) => ({ ...model, info: renderers.get(model)?.info })),
    readiness() {
      const replicas = models.flatMap((model) =>
        model.targets.map(({ replica, tier }) => ({
          name: replica.name,
          model: model.name,
          tier,
          status: replica.status,
          stats: replica.takes === 'prompts' ? replica.stats : undefined,
          isSettled: isSettled(replica),
        })),
      );
      const unsettled = replicas.find((replica) => !replica.isSettled);
      const ready = replicas.find(({ status }) => status.state === 'ready');
      const { status } = unsettled ?? ready ?? (replicas[0] as (typeof replicas)[number]);
      return { isReady: !unsettled && ready !== undefined, status, replicas };
    },
  };
}

interface KnownIdentity {
  readonly identity: ModelIdentity;
  readonly info: ModelInfo | undefined;
}

/** It is asked for with every request, and changes only with a model that is loaded anew. */
function identify(model: CatalogModel, info: ModelInfo | undefined, kept: WeakMap<CatalogModel, KnownIdentity>): ModelIdentity {
  const found = kept.get(model);
  if (found && found.info === info) return found.identity;
  const { name, targets } = model;
  const variants = targets.map(({ replica, variant }) => `${replica.takes} ${variant ?? replica.name}`).toSorted();
  const fingerprint = createHash('sha256')
    .update(JSON.stringify([variants, info && { ...info, id: name }]))
    .digest('base64url');
  const identity = { name, fingerprint, takesPrompts: targets.every(({ replica }) => replica.takes === 'prompts') };
  kept.set(model, { identity, info });
  return identity;
}

/** A model that runs here must be loaded; a remote one must have been asked, but one that is down must not take the others along. */
function isSettled(replica: Replica): boolean {
  return replica.takes === 'prompts' ? replica.status.state === 'ready' : replica.isKnown;
}

/** Waits for the model of a replica, within a bound. */
class Rendering {
  readonly #replica: PromptReplica;
  readonly #timeoutMs: number;
  info: ModelInfo | undefined;

  constructor(replica: PromptReplica, timeoutMs: number) {
    this.#replica = replica;
    this.#timeoutMs = timeoutMs;
    // Learnt without being asked; a failure is told to whoever asks.
    this.#learn().catch(() => {});
  }

  readonly countTokens: PromptReplica['countTokens'] = (segments, signal) => this.#replica.countTokens(segments, signal);

  get isReady(): boolean {
    return this.info !== undefined && this.#replica.status.state === 'ready';
  }

  async ready(signal: AbortSignal): Promise<ModelInfo> {
    // Asked for anew each time: an engine that was started again may have found another file in its model's place.
    if (this.isReady) return this.#learn();
    const waiting = new AbortController();
    const abort = () => waiting.abort(signal.reason);
    const timer = setTimeout(() => {
      waiting.abort(
        new AutoglmError('engine_unavailable', `The model is not ready yet: ${this.#replica.status.detail}`, { retryAfterSeconds: 5 }),
      );
    }, this.#timeoutMs);
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    try {
      return await this.#learn(waiting.signal);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    }
  }

  async #learn(signal?: AbortSignal): Promise<ModelInfo> {
    return (this.info = await this.#replica.ready(signal));
  }
}
