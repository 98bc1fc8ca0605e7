import { blockTokens } from '../kv-cache/kv-cache.ts';
import type { ContextPool } from './context-pool.ts';
import { buildGraph, createContextPool, type Graph, type ModelParts } from './graph.ts';
import type { GraphShape } from './graph-builder.ts';
import { maskCausally, maskedOut } from './mask.ts';
import { turnKeys } from './turn-keys.ts';
import { weighBlocks, type BlockWeights } from './weigh-blocks.ts';
import type { Pointer } from '../ggml/bindings.ts';

/** Graphs kept at most; the one unused longest goes first. */
const graphLimit = 96;

/** Stands in `verify` for a token that there is not. */
export const noToken = -1;

/** Computes steps. It knows slots and tokens, not requests. */
export class Runner {
  readonly #model: ModelParts;
  readonly #allocator: Pointer;
  readonly #contexts: ContextPool;
  #bufferSize = 0;
  /** In order of use. */
  readonly #graphs = new Map<string, Graph>();
  /** Graphs built since the start: a steady load builds none. */
  graphsBuilt = 0;

  constructor(model: ModelParts) {
    this.#model = model;
    this.#allocator = model.ggml.gallocrNew(model.device.bufferType);
    this.#contexts = createContextPool(model);
  }

  /**
   * Reads prompt tokens of the sequence in `slot` at places start, start + 1, … The first `known` of them, at most 64, have
   * their keys and values in the cache: they are read so that the others go through the same kernel as in a longer piece.
   * Returns the last token's logits when they are wanted; they are valid until the next step.
   */
  prefill(slot: number, tokens: Int32Array, start: number, wantsLogits: boolean, known = 0): Float32Array | undefined {
    const graph = this.#graph({ kind: 'prefill', count: tokens.length, window: this.#window(start + tokens.length), wantsLogits });
    const { slotRows, scratchRow } = this.#model.cache;
    const firstRow = slot * slotRows + start;
    graph.tokens.set(tokens);
    for (let index = 0; index < tokens.length; index += 1) {
      graph.positions[index] = start + index;
      graph.rows[index] = BigInt((index < known ? scratchRow : firstRow) + index);
    }
    maskCausally(graph, start, tokens.length);
    this.#model.cache.makeReadable(slot, graph.shape.window);
    graph.useSlot(slot);
    graph.compute();
    return graph.logits[0];
  }

  /**
   * One token for each of the sequences in slots 0 … n − 1, at the given places.
   * Returns at least a row of logits for each; they are valid until the next step.
   */
  decode(tokens: Int32Array, positions: Int32Array): readonly Float32Array[] {
    return this.#computeStep(tokens, positions, this.#padded(tokens.length));
  }

  /**
   * `queries` tokens for each of the sequences in slots 0 … n − 1, `tokens` [n][queries], the first of each at the given
   * place and the others after it; `noToken` where a sequence has fewer. At most 64 in all. The logits, row by row as the
   * tokens, have the same bits as those of as many calls of `decode`.
   */
  verify(tokens: Int32Array, positions: Int32Array, queries: number): readonly Float32Array[] {
    return this.#computeStep(tokens, positions, { count: positions.length, queries });
  }

  #computeStep(
    tokens: Int32Array,
    positions: Int32Array,
    { count, queries }: { readonly count: number; readonly queries: number },
  ): readonly Float32Array[] {
    const { cache } = this.#model;
    const longest = positions.reduce((most, position) => Math.max(most, position + queries), 0);
    const graph = this.#graph({ kind: 'decode', count, queries, window: this.#window(longest) });
    const { window } = graph.shape;
    graph.mask.fill(maskedOut);
    for (let slot = 0; slot < positions.length; slot += 1) cache.makeReadable(slot, window);
    for (let index = 0; index < count * queries; index += 1) {
      const slot = Math.floor(index / queries);
      const isWanted = index < tokens.length && tokens[index] !== noToken;
      const position = isWanted ? (positions[slot] as number) + (index % queries) : 0;
      graph.tokens[index] = isWanted ? (tokens[index] as number) : 0;
      graph.positions[index] = position;
      // What only fills the graph sees nothing, and is written where nobody looks.
      graph.rows[index] = BigInt(isWanted ? slot * cache.slotRows + position : cache.scratchRow + index);
      if (isWanted) graph.mask.fill(0, index * window, index * window + position + 1);
    }
    graph.compute();
    return graph.logits;
  }

  /**
   * How much the tokens at places start, start + 1, … of the sequence in `slot`, at most 64 and all of them in the cache, attend
   * to each block of 64 places up to their own, and to all places from `restFrom` on together: shares that add up to 1, averaged
   * over tokens, heads and layers. Reads the tokens again as a prompt, with the attention weights told; its graph and memory
   * are made for this call.
   */
  weighBlocks(slot: number, tokens: Int32Array, start: number, restFrom = Infinity): BlockWeights {
    return weighBlocks(this.#model, { slot, tokens, start, restFrom, window: this.#window(start + tokens.length) });
  }

  /** Turns the keys of a slot's rows from `firstRow` on by so many positions; see `turnKeys`. */
  turnKeys(slot: number, firstRow: number, turns: Int32Array): void {
    turnKeys(this.#model, slot * this.#model.cache.slotRows + firstRow, turns);
  }

  /**
   * What the products of a step cost that decodes or verifies so many tokens, against other numbers of them; not finite where their sums
   * are not those of a full batch.
   */
  costOf(tokens: number, kind: 'decode' | 'verify'): number {
    return this.#model.columnPlans.costOf(tokens, kind === 'decode');
  }

  /** Every sequence has a slot; a lone one may as well be padded with tokens of its own. */
  #padded(count: number): { readonly count: number; readonly queries: number } {
    const columns = this.#model.columnPlans.padded(count);
    if (columns <= this.#model.cache.capacity) return { count: columns, queries: 1 };
    return count === 1 ? { count, queries: columns } : { count, queries: 1 };
  }

  /** Reserves memory for the largest step, so that no later one needs more and makes the graphs so far stale. */
  warmUp(tokenCount: number): void {
    this.#graph({ kind: 'prefill', count: tokenCount, window: this.#model.cache.slotRows, wantsLogits: true });
  }

  close(): void {
    this.#freeGraphs();
    this.#contexts.close();
    this.#model.ggml.gallocrFree(this.#allocator);
  }

  #window(length: number): number {
    const granularity = length <= 512 ? blockTokens : 256;
    return Math.min(Math.ceil(length / granularity) * granularity, this.#model.cache.slotRows);
  }

  #graph(shape: GraphShape): Graph {
    const key = `${shape.kind} ${shape.count} ${shape.window} ${shape.kind === 'prefill' ? shape.wantsLogits : shape.queries}`;
    if (!this.#model.keepsGraphs) this.#freeGraphs();
    const graph = this.#graphs.get(key) ?? this.#build(shape);
    this.#graphs.delete(key);
    this.#graphs.set(key, graph);
    return graph;
  }

  #build(shape: GraphShape): Graph {
    this.#evict();
    const graph = buildGraph(this.#model, shape, this.#allocator, this.#contexts);
    this.graphsBuilt += 1;
    const size = this.#model.ggml.gallocrSize(this.#allocator, 0);
    // A grown buffer has moved: what was placed into the old one is gone.
    if (size !== this.#bufferSize) this.#freeGraphs();
    this.#bufferSize = size;
    return graph;
  }

  #evict(): void {
    if (this.#graphs.size < graphLimit) return;
    const [oldest] = this.#graphs;
    if (!oldest) return;
    oldest[1].free();
    this.#graphs.delete(oldest[0]);
  }

  #freeGraphs(): void {
    for (const graph of this.#graphs.values()) graph.free();
    this.#graphs.clear();
  }
}
