import type { ModelInfo, Prompt, RequestInput, Stage, Tool } from '@open-autoglm/protocol';
import { deferred } from '../common/deferred.ts';
import type { ModelCatalog } from '../common/model-catalog.ts';
import { createChatRenderer, type RenderChat } from './chat-template.ts';
import { readToolCalls } from './read-tool-calls.ts';
import { grammarOf } from './tool-format.ts';

/**
 * Turns what the client wrote into prompts, and the form that it wants into a grammar, where somebody who may answer wants prompts. On the
 * way up it reads calls of tools out of the text, where there are tools, and changes nothing else.
 */
export function createInputStage(catalog: ModelCatalog): Stage {
  const renderers = new WeakMap<ModelInfo, RenderChat>();
  const rendererOf = (model: ModelInfo) => {
    const renderer = renderers.get(model) ?? createChatRenderer(model);
    renderers.set(model, renderer);
    return renderer;
  };
  return (request, next) =>
    catalog.isRemote(request.model)
      ? next(request)
      : deferred(async () => {
          const rendering = catalog.rendering(request.model, request.signal);
          if (!rendering) return next(request);
          const askedAt = performance.now();
          const model = await rendering.finally(() =>
            request.emit({ type: 'segment-end', segment: 'input', durationMs: performance.now() - askedAt, reason: 'model' }),
          );
          const startedAt = performance.now();
          const tools = request.toolChoice === 'none' ? [] : (request.tools ?? []);
          const prompts = toPrompts(request.input, () => rendererOf(model), tools);
          const grammar = grammarOf(request);
          request.emit({ type: 'segment-end', segment: 'input', durationMs: performance.now() - startedAt, reason: 'template' });
          const parts = next({ ...request, prompts, grammar });
          return tools.length > 0 ? readToolCalls(parts, request.stream) : parts;
        });
}

function toPrompts(input: RequestInput, renderer: () => RenderChat, tools: readonly Tool[]): Prompt[] {
  if (input.kind === 'chat') return [{ segments: renderer()(input.messages, tools) }];
  return input.prompts.map((prompt) => (typeof prompt === 'string' ? { segments: [{ kind: 'text', text: prompt }] } : { tokens: prompt }));
}
