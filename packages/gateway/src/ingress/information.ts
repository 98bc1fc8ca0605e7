import { AutoglmError, type EmbeddingModelInfo, type ModelInfo } from '@open-autoglm/protocol';
import type { EmbeddingCatalog } from '../common/embedding-catalog.ts';
import type { ListedModel, ModelCatalog, Readiness } from '../common/model-catalog.ts';

export interface JsonAnswer {
  readonly status: number;
  readonly body: object;
}

/** The process is alive, whatever its model does. */
export function healthAnswer(): JsonAnswer {
  return { status: 200, body: { status: 'ok' } };
}

/** 200 only when a request would be answered now: the model is loaded, the backends known. */
export function readinessAnswer({ isReady, status, replicas }: Readiness, { local }: EmbeddingCatalog, draining: boolean): JsonAnswer {
  const embeddings = local && { name: local.engine.name, model: local.name, tier: local.tier, status: local.engine.status };
  const hasEmbeddings = embeddings === undefined || embeddings.status.state === 'ready';
  const { state, detail } = draining
    ? { state: 'draining', detail: 'The server is shutting down.' }
    : isReady && embeddings
      ? embeddings.status
      : status;
  const engines = [...replicas, ...(embeddings ? [embeddings] : [])].map((replica) => ({
    name: replica.name,
    model: replica.model,
    tier: replica.tier,
    status: replica.status.state,
    detail: replica.status.detail,
  }));
  return { status: isReady && hasEmbeddings && !draining ? 200 : 503, body: { status: state, detail, engines } };
}

export function modelsAnswer(catalog: ModelCatalog, embeddings: EmbeddingCatalog): JsonAnswer {
  return { status: 200, body: { object: 'list', data: [...catalog.list().map(describe), ...describeEmbeddings(embeddings)] } };
}

/** Throws `model_not_found`. */
export function modelAnswer(catalog: ModelCatalog, embeddings: EmbeddingCatalog, encodedName: string): JsonAnswer {
  const wanted = decode(encodedName);
  const [own] = wanted === embeddings.local?.name ? describeEmbeddings(embeddings) : [];
  if (own) return { status: 200, body: own };
  const { name } = catalog.find(wanted);
  const model = catalog.list().find((listed) => listed.name === name);
  if (!model) throw new AutoglmError('engine_unavailable', 'The model is not ready yet.', { retryAfterSeconds: 5 });
  return { status: 200, body: describe(model) };
}

function decode(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    throw new AutoglmError('invalid_value', 'The model name in the URL is not encoded correctly.', { param: 'model' });
  }
}

function describe({ name, info, targets }: ListedModel): object {
  const remote = targets
    .map(({ replica }) => (replica.takes === 'requests' ? replica.model : undefined))
    .find((model) => model !== undefined);
  return {
    id: name,
    object: 'model',
    created: remote?.created ?? 0,
    owned_by: remote?.ownedBy ?? 'open-autoglm',
    autoglm: {
      ...(info
        ? describeWeights(info)
        : {
            ...(remote?.source !== undefined && { source: remote.source }),
            ...(remote?.contextLength !== undefined && { context_length: remote.contextLength }),
          }),
      engines: targets.map(({ replica, tier, weight }) => ({ name: replica.name, tier, weight, status: replica.status.state })),
    },
  };
}

/** What runs here, when it is ready. */
function describeEmbeddings({ local, info }: EmbeddingCatalog): object[] {
  if (!local || !info || local.engine.status.state !== 'ready') return [];
  const { dimensions, pooling } = info;
  const engines = [{ name: local.engine.name, tier: local.tier, weight: 1, status: 'ready' }];
  return [
    {
      id: local.name,
      object: 'model',
      created: 0,
      owned_by: 'open-autoglm',
      autoglm: { ...describeWeights(info), embedding_dimensions: dimensions, pooling, engines },
    },
  ];
}

function describeWeights({
  source,
  architecture,
  weightType,
  parameterCount,
  weightBytes,
  contextLength,
}: ModelInfo | EmbeddingModelInfo): object {
  return {
    source,
    architecture,
    weight_type: weightType,
    parameters: parameterCount,
    weight_bytes: weightBytes,
    context_length: contextLength,
  };
}
