import { AutoglmError, type EmbeddingEngine, type EmbeddingModelInfo } from '@open-autoglm/protocol';
import type { CatalogModel, Target } from './model-catalog.ts';

/** An engine in its place. */
export interface EmbeddingTarget {
  readonly engine: EmbeddingEngine;
  readonly tier: string;
}

/** Another server's. */
export interface RemoteEmbeddingTarget extends EmbeddingTarget {
  readonly target: Target;
}

/** A model that makes embeddings, and who runs it: at least one. `isRemote`: all who answer for it take requests as they are. */
export type EmbeddingModel =
  | { readonly name: string; readonly isRemote: false; readonly target: EmbeddingTarget }
  | { readonly name: string; readonly isRemote: true; readonly targets: readonly RemoteEmbeddingTarget[] };

/** The model that is run here. */
export interface LocalEmbeddings extends EmbeddingTarget {
  readonly name: string;
}

/** Which names are known at `/v1/embeddings`, and who answers for them. */
export interface EmbeddingCatalog {
  /** What the configuration has under `embeddings`. */
  readonly local: LocalEmbeddings | undefined;
  /** Of `local`, once it was ready. */
  readonly info: EmbeddingModelInfo | undefined;
  has(name: string): boolean;
  /** Throws `model_not_found`, with how to have such a model. */
  find(name: string): EmbeddingModel;
  /** False for what is no model's name. */
  isRemote(name: unknown): boolean;
}

/** The model that runs here, and every model of other servers: whether theirs make embeddings, they know. */
export function createEmbeddingCatalog(local: LocalEmbeddings | undefined, models: readonly CatalogModel[]): EmbeddingCatalog {
  const byName = new Map<string, EmbeddingModel>();
  for (const { name, targets } of models) {
    const own = targets.flatMap((target) =>
      target.replica.takes === 'requests' && target.replica.embeddings
        ? [{ engine: target.replica.embeddings, tier: target.tier, target }]
        : [],
    );
    if (own.length > 0) byName.set(name, { name, targets: own, isRemote: true });
  }
  if (local) byName.set(local.name, { name: local.name, target: local, isRemote: false });
  let info: EmbeddingModelInfo | undefined;
  const learn = (model: EmbeddingModelInfo | undefined) => void (info = model);
  // Learnt without being asked; a failure is told to whoever asks.
  local?.engine.ready().then(learn, () => {});
  const writers = new Set(models.map(({ name }) => name));
  return {
    local,
    get info() {
      return info;
    },
    has: (name) => byName.has(name),
    find(name) {
      const found = byName.get(name);
      if (found) return found;
      throw new AutoglmError('model_not_found', `${problemWith(name, writers)} ${remedy([...byName.keys()])}`, { param: 'model' });
    },
    isRemote: (name) => typeof name === 'string' && (byName.get(name)?.isRemote ?? false),
  };
}

function problemWith(name: string, writers: ReadonlySet<string>): string {
  return writers.has(name)
    ? `The model ${JSON.stringify(name)} writes text and makes no embeddings.`
    : `The model ${JSON.stringify(name)} does not exist.`;
}

function remedy(known: readonly string[]): string {
  if (known.length > 0) return `Models for embeddings: ${known.join(', ')}.`;
  return 'This server has no model for embeddings: name one in its configuration, such as "embeddings: {model: bge-small-zh}".';
}
