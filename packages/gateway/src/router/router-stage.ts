import type { Engine, GatewayRequest, StreamPart } from '@open-autoglm/protocol';
import type { ModelCatalog } from '../common/model-catalog.ts';

/** Lets one engine answer; the end of the path. */
export type Generate = (engine: Engine, request: GatewayRequest) => AsyncIterable<StreamPart>;

/** Chooses the engine that answers: at present the one that runs the model asked for. */
export function createRouter(catalog: ModelCatalog, generate: Generate): (request: GatewayRequest) => AsyncIterable<StreamPart> {
  return (request) => {
    const { engine, tier } = catalog.find(request.model);
    request.emit({ type: 'engine-chosen', engine: engine.name, tier, reason: 'the only engine of this model' });
    return generate(engine, request);
  };
}
