import type { CompressionMethod, FitOptions, GatewayRequest, ModelInfo, Next, RemoteTokens, Stage } from '@open-autoglm/protocol';
import { deferred } from '../common/deferred.ts';
import type { CatalogModel, ModelCatalog } from '../common/model-catalog.ts';
import type { TtftReading } from '../common/ttft-meter.ts';
import { createChatRenderer } from './chat-template.ts';
import { nextRate, type AdaptiveSettings } from './compress/adaptive-rate.ts';
import { compressRequest, type Compression } from './compress/compress-request.ts';
import { readDocuments, type DocumentParts } from './documents/read-documents.ts';
import { fitRequest, type FitDefaults } from './fit/fit-request.ts';
import { askedPromptSize, localPromptSize, remotePromptSize, type PromptSize } from './fit/prompt-size.ts';
import { remoteTokenizer } from './tokens/tokenizers.ts';

export interface ShortenOptions {
  readonly fit: FitDefaults & {
    /** Of requests that say nothing of it. */
    readonly enabled: boolean;
    /** What is known of models of other servers, by name. */
    readonly models: Readonly<Record<string, { readonly contextLength: number | undefined; readonly tokenizer: string | undefined }>>;
  };
  readonly compression: {
    /** Of requests that say nothing of it. */
    readonly method: CompressionMethod;
    readonly rate: number;
    readonly adaptive: AdaptiveSettings;
  };
  readonly ttft: TtftReading;
  readonly documents: DocumentParts;
}

/**
 * Reads the documents that come with a request, and makes prompts shorter, where that is asked for. A request that asks for nothing passes
 * as it is, at once.
 */
export function createShortenStage(catalog: ModelCatalog, options: ShortenOptions): Stage {
  const sizes = new PromptSizes(catalog, options.fit.models);
  const rates = new AdaptiveRates(options);
  return (request, below) => {
    const fit = fitOf(request, options);
    const compression = compressionOf(request, options, rates);
    if (!fit && !compression && !request.documents) return below(request);
    // What was done as it was wished is no part of the question any more: the answer depends on what came of it.
    const next: Next = (shortened) => below({ ...shortened, documents: undefined, fit: undefined, compression: undefined });
    return deferred(async () => {
      const size = await sizes.of(request);
      const asked = request.documents;
      const whole = asked
        ? await timed(request, 'documents', readDocuments(request, asked, { size, next, parts: options.documents }))
        : request;
      const compressed = compression ? await timed(request, 'compress', compressRequest(whole, compression, size)) : whole;
      // Nobody asked for it, and the room is not known: whoever reads the prompt will say when it is too long.
      if (!fit || (!request.fit && size.contextLength === undefined)) return next(compressed);
      return next(await timed(request, 'fit', fitRequest(compressed, fit, size, options.fit)));
    });
  };
}

function timed<T>({ emit }: GatewayRequest, reason: string, work: Promise<T>): Promise<T> {
  const startedAt = performance.now();
  return work.finally(() => emit({ type: 'segment-end', segment: 'input', durationMs: performance.now() - startedAt, reason }));
}

function compressionOf(
  { model, compression }: GatewayRequest,
  { compression: { method: configured, rate: configuredRate } }: ShortenOptions,
  rates: AdaptiveRates,
): Compression | undefined {
  const { method, rate = configuredRate } = compression ?? { method: configured };
  if (method === 'off') return undefined;
  if (method === 'adaptive') return { method: 'extract', rate: rates.next(model) };
  return method === 'extract' ? { method, rate } : { method };
}

/** The rate of each model, as its last request had it. */
class AdaptiveRates {
  readonly #options: ShortenOptions;
  readonly #rates = new Map<string, number>();

  constructor(options: ShortenOptions) {
    this.#options = options;
  }

  next(model: string): number {
    const {
      ttft,
      compression: { adaptive },
    } = this.#options;
    const rate = nextRate(this.#rates.get(model) ?? adaptive.rateMin, ttft.read(model), adaptive);
    // A name that nobody answers to has no reading, and nothing to remember.
    if (ttft.read(model) !== undefined) this.#rates.set(model, rate);
    return rate;
  }
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
    const info = await rendering.finally(() =>
      emit({ type: 'segment-end', segment: 'input', durationMs: performance.now() - askedAt, reason: 'model' }),
    );
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
    const known =
      this.#remote.get(model) ??
      (tokenizer === 'server'
        ? askedPromptSize(model.name, () => tokensOf(model))
        : remotePromptSize(undefined, remoteTokenizer(model.name, tokenizer)));
    this.#remote.set(model, known);
    // What the servers list may change while this one runs; the smallest of them must have room.
    return { ...known, contextLength: contextLength ?? smallestContext(model) };
  }
}

/** Of its servers, which have the same model; first of those that answer now. */
function tokensOf({ targets }: CatalogModel): RemoteTokens[] {
  const remote = targets.flatMap(({ replica }) =>
    replica.takes === 'requests' && replica.tokens ? [{ tokens: replica.tokens, isReady: replica.status.state === 'ready' }] : [],
  );
  return remote.toSorted((a, b) => Number(b.isReady) - Number(a.isReady)).map(({ tokens }) => tokens);
}

function smallestContext({ targets }: CatalogModel): number | undefined {
  const lengths = targets.flatMap(({ replica }) =>
    replica.takes === 'requests' && replica.model?.contextLength !== undefined ? [replica.model.contextLength] : [],
  );
  return lengths.length > 0 ? Math.min(...lengths) : undefined;
}
