import type { Config } from './config/schema.ts';
import type { ShortenOptions } from './input/shorten-stage.ts';

/** What makes prompts shorter, as the configuration file has it. */
export function shortenOptions({ fit }: Pick<Config, 'fit'>): ShortenOptions {
  const models = Object.entries(fit.models).map(([name, { context_length: contextLength, tokenizer }]) => [name, { contextLength, tokenizer }] as const);
  return { fit: { enabled: fit.enabled, reserveTokens: fit.reserve_tokens, recentTurns: fit.recent_turns, models: Object.fromEntries(models) } };
}
