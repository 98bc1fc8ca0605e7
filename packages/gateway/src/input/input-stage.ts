import type { ModelInfo, Prompt, RequestInput, Stage } from '@open-autoglm/protocol';
import { deferred } from '../common/deferred.ts';
import type { ModelCatalog } from '../common/model-catalog.ts';
import { createChatRenderer, type RenderChat } from './chat-template.ts';

/** Turns what the client wrote into prompts, where somebody who may answer wants prompts. Changes nothing on the way up. */
export function createInputStage(catalog: ModelCatalog): Stage {
  const renderers = new WeakMap<ModelInfo, RenderChat>();
  const rendererOf = (model: ModelInfo) => {
    const renderer = renderers.get(model) ?? createChatRenderer(model);
    renderers.set(model, renderer);
    return renderer;
  };
  return (request, next) => deferred(async () => {
    const rendering = catalog.rendering(request.model, request.signal);
    if (!rendering) return next(request);
    const askedAt = performance.now();
    const model = await rendering.finally(() => request.emit({ type: 'segment-end', segment: 'input', durationMs: performance.now() - askedAt, reason: 'model' }));
    const startedAt = performance.now();
    const prompts = toPrompts(request.input, () => rendererOf(model));
    request.emit({ type: 'segment-end', segment: 'input', durationMs: performance.now() - startedAt, reason: 'template' });
    return next({ ...request, prompts });
  });
}

function toPrompts(input: RequestInput, renderer: () => RenderChat): Prompt[] {
  if (input.kind === 'chat') return [{ segments: renderer()(input.messages) }];
  return input.prompts.map((prompt) => (typeof prompt === 'string' ? { segments: [{ kind: 'text', text: prompt }] } : { tokens: prompt }));
}
