import type { LoadedModel } from '../model.ts';
import { blockTokens, type DropOutcome } from '../kv-cache/kv-cache.ts';
import type { Sequence } from '../sequence.ts';
import type { ContextBounds } from './bounds.ts';
import { chooseDrops } from './choose-drops.ts';
import { turnsAfter } from './kept-context.ts';

/** Tokens whose attention decides what goes: the newest, as in SnapKV's window (Li et al. 2024). */
const observedTokens = blockTokens;

/**
 * Takes blocks of a sequence whose context is full out of the cache, and turns the keys of what remains behind them to their
 * new positions. See `DropOutcome` for what may come of it.
 */
export function dropBlocks({ cache, runner }: Pick<LoadedModel, 'cache' | 'runner'>, sequence: Sequence): DropOutcome {
  const { id, context, computed, tokens } = sequence;
  const rows = context.rows(computed);
  const weigh = () =>
    runner.weighBlocks(cache.slotOf(id), tokens.all.slice(computed - observedTokens, computed), rows - observedTokens).blocks;
  const places = context.placesToDrop(computed, () => chooseDrops(context.bounds as ContextBounds, rows / blockTokens, weigh));
  const outcome = cache.drop(id, places, rows);
  if (outcome !== 'dropped') return outcome;
  runner.turnKeys(cache.slotOf(id), (places[0] as number) * blockTokens, turnsAfter(places, rows));
  context.advance();
  return outcome;
}
