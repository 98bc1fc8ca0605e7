import { unitVector } from '../../common/unit-vector.ts';

export type Embed = (texts: readonly string[], signal: AbortSignal) => Promise<readonly Float32Array[]>;

export interface EmbedderOptions {
  readonly embed: Embed;
  /** Longer than this nobody waits. */
  readonly timeoutMs: number;
  /** At one time; who comes when there are as many gets nothing. */
  readonly pendingMax: number;
}

/** Embeddings of length 1, soon or not at all: what comes too late is a question that was not found. */
export class Embedder {
  readonly #options: EmbedderOptions;
  #pending = 0;
  /** Late, refused, or wrong. */
  failed = 0;
  /** Not asked for: there were too many. */
  skipped = 0;

  constructor(options: EmbedderOptions) {
    this.#options = options;
  }

  /** Undefined: there is none for every text, for whatever reason. Rejects only when the signal aborts. */
  async vectors(texts: readonly string[], signal?: AbortSignal): Promise<readonly Float32Array[] | undefined> {
    const { embed, timeoutMs, pendingMax } = this.#options;
    if (this.#pending >= pendingMax) {
      this.skipped += 1;
      return undefined;
    }
    this.#pending += 1;
    const late = AbortSignal.timeout(timeoutMs);
    try {
      const made = await embed(texts, signal ? AbortSignal.any([signal, late]) : late);
      const units = made.flatMap((vector) => unitVector(vector) ?? []);
      if (units.length === texts.length) return units;
    } catch {
      signal?.throwIfAborted();
    } finally {
      this.#pending -= 1;
    }
    this.failed += 1;
    return undefined;
  }
}
