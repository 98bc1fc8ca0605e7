import type { FitOptions, GatewayRequest, ModelInfo, Stage } from '@open-autoglm/protocol';
import { deferred } from '../common/deferred.ts';
import type { CatalogModel, ModelCatalog } from '../common/model-catalog.ts';
import { createChatRenderer } from './chat-template.ts';
import { fitRequest, type FitDefaults } from './fit/fit-request.ts';
import { localPromptSize, remotePromptSize, type PromptSize } from './fit/prompt-size.ts';
import { remoteTokenizer } from './tokens/tokenizers.ts';

export interface ShortenOptions {
  readonly fit: FitDefaults & {
    /** Of requests that say nothing of it. */
    readonly enabled: boolean;
    /** What is known of models of other servers, by name. */
    readonly models: Readonly<Record<string, { readonly contextLength: number | undefined; readonly tokenizer: string | undefined }>>;
  };
}

/** Makes prompts shorter where that is asked for. A request that asks for nothing passes as it is, at once. */
export function createShortenStage(catalog: ModelCatalog, options: ShortenOptions): Stage {
  const sizes = new PromptSizes(catalog, options.fit.models);
  return (request, next) => {
    const fit = fitOf(request, options);
    if (!fit) return next(request);
    return deferred(async () => {
      const size = await sizes.of(request);
      const isKnown = size.contextLength !== undefined || fit.promptTokensMax !== undefined;
      // Nobody asked for it; whoever reads the prompt will say when it is too long.
      if (!isKnown && !request.fit) return next(request);
      const startedAt = performance.now();
      const fitted = await fitRequest(request, fit, size, options.fit).finally(() => request.emit({ type: 'segment-end', segment: 'input', durationMs: performance.now() - startedAt, reason: 'fit' }));
      return next(fitted);
    });
  };
}

/** A context that gives way by itself has room for every prompt: only who asks for both gets both. */
function fitOf({ fit, contextStrategy }: GatewayRequest, { fit: { enabled } }: ShortenOptions): FitOptions | undefined {
  if (fit !== undefined) return fit === false ? undefined : fit;
  return enabled && (contextStrategy === undefined || contextStrategy.kind === 'full') ? {} : undefined;
}

/** How long prompts of each model are; what was counted is remembered with it. */
class PromptSizes {
  readonly #catalog: ModelCatalog;
  readonly #configured: ShortenOptions['fit']['models'];
  readonly #local = new WeakMap<ModelInfo, PromptSize>();
  readonly #remote = new WeakMap<CatalogModel, PromptSize>();

  constructor(catalog: ModelCatalog, configured: ShortenOptions['fit']['models']) {
    this.#catalog = catalog;
    this.#configured = configured;
  }

  async of({ model: name, signal, emit }: GatewayRequest): Promise<PromptSize> {
    const rendering = this.#catalog.isRemote(name) ? undefined : this.#catalog.rendering(name, signal);
    if (!rendering) return this.#ofRemote(this.#catalog.find(name));
    const askedAt = performance.now();
    const info = await rendering.finally(() => emit({ type: 'segment-end', segment: 'input', durationMs: performance.now() - askedAt, reason: 'model' }));
    const count = this.#catalog.tokens(name);
    let size = this.#local.get(info);
    if (!size && count) {
      let renderer: ReturnType<typeof createChatRenderer> | undefined;
      size = localPromptSize(info, count, () => (renderer ??= createChatRenderer(info)));
      this.#local.set(info, size);
    }
    return size ?? this.#ofRemote(this.#catalog.find(name));
  }

  #ofRemote(model: CatalogModel): PromptSize {
    const { contextLength, tokenizer } = this.#configured[model.name] ?? {};
    const known = this.#remote.get(model) ?? remotePromptSize(undefined, remoteTokenizer(model.name, tokenizer));
    this.#remote.set(model, known);
    // What the servers list may change while this one runs; the smallest of them must have room.
    return { ...known, contextLength: contextLength ?? smallestContext(model) };
  }
}

function smallestContext({ targets }: CatalogModel): number | undefined {
  const lengths = targets.flatMap(({ replica }) => (replica.takes === 'requests' && replica.model?.contextLength !== undefined ? [replica.model.contextLength] : []));
  return lengths.length > 0 ? Math.min(...lengths) : undefined;
}
