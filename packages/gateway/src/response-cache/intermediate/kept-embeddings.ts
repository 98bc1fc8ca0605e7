import { hash } from 'node:crypto';
import type { EmbeddingAnswer, EmbeddingRequest } from '@open-autoglm/protocol';
import type { CacheLevel } from '../levels/level.ts';
import { MemoryLevel } from '../levels/memory-level.ts';
import type { KeptVector } from './vector-codec.ts';

export interface KeptEmbeddingsOptions {
  /** Of all vectors in memory. */
  readonly maxBytes: number;
  /** On the shared level; in memory a vector is good for as long as there is room. */
  readonly ttlMs: number;
  /** Behind the memory; absent: there is none. */
  readonly shared?: CacheLevel<KeptVector> | undefined;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Whose texts, and what makes their vectors: all that a vector depends on beside its text. */
export interface VectorScope {
  readonly tenant: string;
  readonly weightsFingerprint: string;
}

/** Asks for the embeddings of these inputs. */
type Compute = (inputs: EmbeddingRequest['inputs']) => Promise<EmbeddingAnswer>;

/** An answer, and how many of its tokens were not read again. */
export interface FoundEmbeddings {
  readonly answer: EmbeddingAnswer;
  readonly keptTokens: number;
}

/** Of one request, so many texts are looked for on the shared level: a large batch would wait longer for it than for the engine. */
const sharedMax = 64;
/** Changes whenever the same key could mean another vector. */
const version = 1;

/**
 * Embeddings by tenant, weights and text. A request's texts that are known are not encoded again, the others are, together. Vectors do
 * not age; where there is no room, those that were asked for longest ago go.
 */
export class KeptEmbeddings {
  readonly memory: MemoryLevel<KeptVector>;
  readonly #options: KeptEmbeddingsOptions;

  constructor(options: KeptEmbeddingsOptions) {
    this.#options = options;
    this.memory = new MemoryLevel({ maxBytes: options.maxBytes, bytesOf: ({ vector }) => vector.byteLength + 128, now: options.now });
  }

  /** `isAnew`: nothing is looked for, and all is kept. */
  async find(
    scope: VectorScope,
    { inputs, dimensions, truncate }: EmbeddingRequest,
    compute: Compute,
    isAnew = false,
  ): Promise<FoundEmbeddings> {
    const keys = inputs.map((input) =>
      hash(
        'sha256',
        JSON.stringify([version, scope.tenant, scope.weightsFingerprint, dimensions ?? null, truncate ?? false, input]),
        'base64url',
      ),
    );
    const found = isAnew ? keys.map(() => undefined) : await this.#lookUp(keys);
    const missing = inputs.flatMap((_, index) => (found[index] ? [] : [index]));
    const keptTokens = found.reduce((sum, kept) => sum + (kept?.tokens ?? 0), 0);
    if (missing.length === 0)
      return { answer: { vectors: found.map((kept) => (kept as KeptVector).vector), promptTokens: keptTokens, isKept: true }, keptTokens };
    const computed = await compute(missing.map((index) => inputs[index] as (typeof inputs)[number]));
    this.#keep(
      missing.map((index) => keys[index] as string),
      computed,
    );
    const vectors = found.map((kept) => kept?.vector);
    for (const [at, index] of missing.entries()) vectors[index] = computed.vectors[at];
    return { answer: { ...computed, vectors: vectors as Float32Array[], promptTokens: computed.promptTokens + keptTokens }, keptTokens };
  }

  async #lookUp(keys: readonly string[]): Promise<(KeptVector | undefined)[]> {
    const found = keys.map((key) => this.memory.get(key));
    const { shared } = this.#options;
    const missing = shared ? keys.flatMap((key, index) => (found[index] ? [] : [{ key, index }])) : [];
    if (!shared || missing.length === 0 || missing.length > sharedMax) return found;
    await Promise.all(
      missing.map(async ({ key, index }) => {
        const kept = await shared.get(key);
        if (kept) this.memory.set(key, (found[index] = kept), Infinity);
      }),
    );
    return found;
  }

  #keep(keys: readonly string[], { vectors, tokenCounts }: EmbeddingAnswer): void {
    if (!tokenCounts) return;
    const untilMs = this.#options.now() + this.#options.ttlMs;
    for (const [at, key] of keys.entries()) {
      // A copy: the engine's answer is one array for all of them.
      const kept = { vector: Float32Array.from(vectors[at] as Float32Array), tokens: tokenCounts[at] as number };
      this.memory.set(key, kept, Infinity);
      this.#options.shared?.set(key, kept, untilMs);
    }
  }
}
