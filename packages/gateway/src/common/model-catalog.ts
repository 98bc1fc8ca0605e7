import { AutoglmError, type Engine, type ModelInfo } from '@open-autoglm/protocol';

/** A model that can be asked for, and the engine that answers. */
export interface CatalogEntry {
  readonly engine: Engine;
  readonly tier: string;
}

/** Which names are known, and who answers for them. */
export interface ModelCatalog {
  /** Throws `model_not_found`. */
  find(name: string): CatalogEntry;
  /** Waits until the model can answer. Throws `engine_unavailable` after the bound, or the signal's reason. */
  ready(name: string, signal: AbortSignal): Promise<ModelInfo>;
  /** Models that can answer now. */
  list(): readonly ModelInfo[];
}

/** The catalog of one embedded engine: `default`, and the name of the file or package that it runs. */
export function createCatalog(engine: Engine, readyTimeoutMs: number): ModelCatalog {
  let known: ModelInfo | undefined;
  const learn = async (signal?: AbortSignal) => (known = await engine.ready(signal));
  learn().catch(() => {});
  const find = (name: string): CatalogEntry => {
    if (name === 'default' || name === known?.source) return { engine, tier: 'edge' };
    const names = known ? `default, ${known.source}` : 'default';
    throw new AutoglmError('model_not_found', `The model ${JSON.stringify(name)} does not exist. Known models: ${names}.`, { param: 'model' });
  };
  return {
    find,
    async ready(name, signal) {
      find(name);
      if (engine.status.state === 'ready' && known) return known;
      const bounded = withTimeout(signal, readyTimeoutMs, engine);
      return learn(bounded.signal).finally(bounded.release);
    },
    list: () => (known && engine.status.state === 'ready' ? [known] : []),
  };
}

function withTimeout(signal: AbortSignal, timeoutMs: number, engine: Engine): { readonly signal: AbortSignal; release(): void } {
  const waiting = new AbortController();
  const abort = () => waiting.abort(signal.reason);
  const timer = setTimeout(() => {
    waiting.abort(new AutoglmError('engine_unavailable', `The model is not ready yet: ${engine.status.detail}`, { retryAfterSeconds: 5 }));
  }, timeoutMs);
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  return {
    signal: waiting.signal,
    release() {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    },
  };
}
