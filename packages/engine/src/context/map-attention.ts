import type { AttentionMap } from '@open-autoglm/protocol';
import { blockTokens } from '../kv-cache/kv-cache.ts';
import type { LoadedModel } from '../model.ts';
import type { Sequence } from '../sequence.ts';
import type { KeptContext } from './kept-context.ts';

/** Pieces of up to 64 tokens that are read again for a map at most: nobody waits longer for it than for a piece of a prompt. */
const piecesMax = 4;

/**
 * What the tokens of an answer attended to in its prompt, found by reading them once more with the attention weights told,
 * the whole answer or four pieces of 64 tokens spread over it. Looks only: the cache stays as it is. A token's attention is
 * that of the place it was chosen at, the one before it.
 */
export function mapAttention(
  { cache, runner }: Pick<LoadedModel, 'cache' | 'runner'>,
  { id, context, tokens, prompt, computed }: Sequence,
): AttentionMap {
  const promptRows = rowsOfPrompt(context, prompt.length, computed);
  const from = Math.max(prompt.length - 1, firstInOrder(context, computed));
  const pieces = cutEvenly(from, computed);
  const blockCount = Math.ceil(promptRows / blockTokens);
  const sums = new Float64Array(blockCount);
  let answer = 0;
  let observedTokens = 0;
  for (const [start, end] of pieces) {
    const { blocks, rest } = runner.weighBlocks(cache.slotOf(id), tokens.all.slice(start, end), context.rows(start), promptRows);
    for (let place = 0; place < blockCount; place += 1) sums[place] = (sums[place] as number) + (blocks[place] ?? 0) * (end - start);
    answer += rest * (end - start);
    observedTokens += end - start;
  }
  const blocks = Array.from(sums, (sum, place) => {
    const start = context.blockAt(place) * blockTokens;
    return { start, end: Math.min(start + blockTokens, prompt.length), weight: sum / observedTokens };
  });
  return { observedTokens, droppedTokens: context.droppedTokens, answerWeight: answer / observedTokens, blocks };
}

/** Rows of the cache that hold prompt tokens: the first ones. */
function rowsOfPrompt(context: KeptContext, promptLength: number, computed: number): number {
  let rows = 0;
  for (let place = 0; place * blockTokens < context.rows(computed); place += 1) {
    const left = promptLength - context.blockAt(place) * blockTokens;
    if (left <= 0) break;
    rows += Math.min(left, blockTokens);
  }
  return rows;
}

/** The first token from which on nothing was dropped: those from it on lie in rows in their order. */
function firstInOrder(context: KeptContext, computed: number): number {
  let place = Math.ceil(context.rows(computed) / blockTokens) - 1;
  while (place > 0 && context.blockAt(place - 1) === context.blockAt(place) - 1) place -= 1;
  return context.blockAt(place) * blockTokens;
}

/** [start, end) of the pieces. */
function cutEvenly(from: number, to: number): readonly (readonly [number, number])[] {
  const count = to - from;
  const pieces = Math.ceil(count / blockTokens);
  if (pieces <= piecesMax)
    return Array.from(
      { length: pieces },
      (_, piece) => [from + piece * blockTokens, Math.min(to, from + (piece + 1) * blockTokens)] as const,
    );
  return Array.from({ length: piecesMax }, (_, piece) => {
    const start = from + Math.floor((piece * (count - blockTokens)) / (piecesMax - 1));
    return [start, start + blockTokens] as const;
  });
}
