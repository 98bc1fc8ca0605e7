import type { AttentionMap, StreamPart } from '@open-autoglm/protocol';

/** What the choices of an answer attended to, for those that asked. */
export class AttentionMaps {
  readonly #maps: { readonly index: number; readonly map: AttentionMap }[] = [];

  add(part: StreamPart): void {
    if (part.type === 'text-end' && part.attention) this.#maps.push({ index: part.index, map: part.attention });
  }

  /** Fields of the answer's `autoglm`: none where nobody asked. */
  fields(): { readonly attention?: object } {
    if (this.#maps.length === 0) return {};
    return { attention: this.#maps.toSorted((a, b) => a.index - b.index).map(({ index, map }) => toWire(index, map)) };
  }
}

function toWire(index: number, { observedTokens, droppedTokens, answerWeight, blocks }: AttentionMap): object {
  return {
    index,
    observed_tokens: observedTokens,
    dropped_tokens: droppedTokens,
    answer_weight: round(answerWeight),
    blocks: blocks.map(({ start, end, weight }) => ({ start, end, weight: round(weight) })),
  };
}

/** Enough to order blocks by. */
function round(weight: number): number {
  return Math.round(weight * 1e6) / 1e6;
}
