import type { EmbeddingPath } from './common/embedding-call.ts';
import type { EmbeddingCatalog } from './common/embedding-catalog.ts';
import type { TtftReading } from './common/ttft-meter.ts';
import type { Config } from './config/schema.ts';
import type { ShortenOptions } from './input/shorten-stage.ts';

/** What reads documents and makes prompts shorter, as the configuration file has it. */
export function shortenOptions(
  { fit, compression, documents }: Pick<Config, 'fit' | 'compression' | 'documents'>,
  ttft: TtftReading,
  embeddings: EmbeddingCatalog,
  embeddingPath: EmbeddingPath,
): ShortenOptions {
  const models = Object.entries(fit.models).map(
    ([name, { context_length: contextLength, tokenizer }]) => [name, { contextLength, tokenizer }] as const,
  );
  const { rate_min: rateMin, rate_max: rateMax, ttft_low_ms: lowMs, ttft_high_ms: highMs, hysteresis } = compression.adaptive;
  return {
    fit: { enabled: fit.enabled, reserveTokens: fit.reserve_tokens, recentTurns: fit.recent_turns, models: Object.fromEntries(models) },
    compression: { method: compression.method, rate: compression.rate, adaptive: { rateMin, rateMax, lowMs, highMs, hysteresis } },
    ttft,
    documents: {
      embed: embeddingPath,
      embeddingModel: () => embeddings.local?.name,
      tokensMax: documents.tokens_max,
      concurrency: documents.concurrency,
      chunksMax: documents.pieces_max,
    },
  };
}
