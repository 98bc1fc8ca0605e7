import { AutoglmError, type EngineStatus, type ModelInfo } from '@open-autoglm/protocol';
import type { ModelCatalog } from '../common/model-catalog.ts';

export interface JsonAnswer {
  readonly status: number;
  readonly body: object;
}

/** The process is alive, whatever its model does. */
export function healthAnswer(): JsonAnswer {
  return { status: 200, body: { status: 'ok' } };
}

/** 200 only when a request would be answered now. */
export function readinessAnswer(engine: EngineStatus, draining: boolean): JsonAnswer {
  const ready = engine.state === 'ready' && !draining;
  const { detail } = draining ? { detail: 'The server is shutting down.' } : engine;
  return { status: ready ? 200 : 503, body: { status: draining ? 'draining' : engine.state, detail } };
}

export function modelsAnswer(catalog: ModelCatalog): JsonAnswer {
  return { status: 200, body: { object: 'list', data: catalog.list().map(describe) } };
}

/** Throws `model_not_found`. */
export function modelAnswer(catalog: ModelCatalog, encodedName: string): JsonAnswer {
  const name = decode(encodedName);
  catalog.find(name);
  const [model] = catalog.list();
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

function describe(model: ModelInfo): object {
  const { id, source, architecture, weightType, parameterCount, weightBytes, contextLength } = model;
  return {
    id,
    object: 'model',
    created: 0,
    owned_by: 'open-autoglm',
    autoglm: { source, architecture, weight_type: weightType, parameters: parameterCount, weight_bytes: weightBytes, context_length: contextLength },
  };
}
