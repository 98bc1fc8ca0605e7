import { AutoglmError, type ContextStrategy } from '@open-autoglm/protocol';
import { blockTokens } from '../kv-cache/kv-cache.ts';

/** How many tokens of a sequence stay in the cache, in blocks. */
export interface ContextBounds {
  readonly kind: 'window' | 'attention';
  /** Tokens, the sinks included: a multiple of a block. */
  readonly tokensMax: number;
  readonly sinkBlocks: number;
  /** The newest ones, which `attention` does not choose from. */
  readonly recentBlocks: number;
  /** That go at once: a quarter of the window, so that turning the other keys is rare. */
  readonly dropBlocks: number;
}

const defaultSinks = blockTokens;
/** Four blocks: one goes, two are new, and there is one to choose. */
const windowMin = 4 * blockTokens;

/**
 * Checks a strategy against the model's context; `undefined`: nothing is ever dropped. Throws `invalid_value` naming the
 * field; `field` is what the strategy was written in.
 */
export function boundContext(strategy: ContextStrategy, contextLength: number, field: string): ContextBounds | undefined {
  if (strategy.kind === 'full') return undefined;
  const { kind, sinks = defaultSinks } = strategy;
  const sinkBlocks = Math.ceil(sinks / blockTokens);
  const room = contextLength - sinkBlocks * blockTokens;
  const window = strategy.window ?? room;
  const refuse = (name: string, reason: string) =>
    new AutoglmError('invalid_value', `Invalid value for '${field}.${name}': ${reason}.`, { param: `${field}.${name}` });
  if (!Number.isInteger(sinks) || sinks < 0) throw refuse('sinks', 'must be an integer of at least 0');
  if (room < windowMin)
    throw refuse('sinks', `the model's context of ${contextLength} tokens must hold them and a window of at least ${windowMin}`);
  if (!Number.isInteger(window) || window < windowMin) throw refuse('window', `must be an integer of at least ${windowMin}`);
  if (window > room) throw refuse('window', `the model's context of ${contextLength} tokens leaves ${room} beside the sinks`);
  const windowBlocks = Math.floor(window / blockTokens);
  return {
    kind,
    sinkBlocks,
    tokensMax: (sinkBlocks + windowBlocks) * blockTokens,
    recentBlocks: Math.ceil(windowBlocks / 2),
    dropBlocks: Math.floor(windowBlocks / 4),
  };
}
