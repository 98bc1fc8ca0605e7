import { AutoglmError, type ModelInfo } from '@open-autoglm/protocol';
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
export function readinessAnswer({ isReady, status, replicas }: Readiness, draining: boolean): JsonAnswer {
  const { state, detail } = draining ? { state: 'draining', detail: 'The server is shutting down.' } : status;
  const engines = replicas.map((replica) => ({ name: replica.name, model: replica.model, tier: replica.tier, status: replica.status.state, detail: replica.status.detail }));
  return { status: isReady && !draining ? 200 : 503, body: { status: state, detail, engines } };
}

export function modelsAnswer(catalog: ModelCatalog): JsonAnswer {
  return { status: 200, body: { object: 'list', data: catalog.list().map(describe) } };
}

/** Throws `model_not_found`. */
export function modelAnswer(catalog: ModelCatalog, encodedName: string): JsonAnswer {
  const { name } = catalog.find(decode(encodedName));
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
  const remote = targets.map(({ replica }) => (replica.takes === 'requests' ? replica.model : undefined)).find((model) => model !== undefined);
  return {
    id: name,
    object: 'model',
    created: remote?.created ?? 0,
    owned_by: remote?.ownedBy ?? 'open-autoglm',
    autoglm: {
      ...(info ? describeWeights(info) : remote?.contextLength !== undefined && { context_length: remote.contextLength }),
      engines: targets.map(({ replica, tier, weight }) => ({ name: replica.name, tier, weight, status: replica.status.state })),
    },
  };
}

function describeWeights({ source, architecture, weightType, parameterCount, weightBytes, contextLength }: ModelInfo): object {
  return { source, architecture, weight_type: weightType, parameters: parameterCount, weight_bytes: weightBytes, context_length: contextLength };
}
