import { Counter, Gauge, type Registry } from 'prom-client';

/** What the response cache has counted since its start. */
export interface CacheReading {
  /** By level, what came of every question and write. */
  readonly levels: readonly { readonly level: string; readonly counts: Readonly<Record<string, number>> }[];
  /** The same of embeddings that are kept. */
  readonly embeddingLevels: CacheReading['levels'];
  readonly embeddingBytes: number;
  readonly memoryEntries: number;
  readonly memoryBytes: number;
  /** Answers and embeddings that are not in Redis yet. */
  readonly waitingWrites: number;
  /** Revocations that Redis has not confirmed. */
  readonly waitingRevocations: number;
  /** Computations that others may join. */
  readonly flights: number;
  readonly revoked: number;
  readonly refreshes: Readonly<Record<string, number>>;
}

/** The cache's levels; what each request had of them is counted with the requests. */
export function registerCacheMetrics(registry: Registry, read: () => CacheReading): void {
  const gauge = (name: string, help: string, value: (reading: CacheReading) => number) =>
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(value(read()));
      },
    });
  const counter = <L extends string>(
    name: string,
    help: string,
    labelNames: L[],
    values: (reading: CacheReading) => readonly (readonly [Record<L, string>, number])[],
  ) =>
    new Counter({
      name,
      help,
      labelNames,
      registers: [registry],
      collect() {
        this.reset();
        for (const [labels, value] of values(read())) this.inc(labels, value);
      },
    });
  counter(
    'autoglm_response_cache_level_total',
    'What came of questions to a level and of writes: hits, misses, kept, evicted, poisoned, failed, skipped.',
    ['level', 'event'],
    ({ levels }) =>
      levels.flatMap(({ level, counts }) => Object.entries(counts).map(([event, count]) => [{ level, event }, count] as const)),
  );
  counter(
    'autoglm_embedding_cache_level_total',
    'The same of texts whose embeddings were asked for.',
    ['level', 'event'],
    ({ embeddingLevels }) =>
      embeddingLevels.flatMap(({ level, counts }) => Object.entries(counts).map(([event, count]) => [{ level, event }, count] as const)),
  );
  gauge(
    'autoglm_embedding_cache_bytes',
    'What the embeddings in memory take, as the cache reckons it.',
    ({ embeddingBytes }) => embeddingBytes,
  );
  counter(
    'autoglm_response_cache_refreshes_total',
    'Answers computed anew while the old ones were given, and those that were not: too many at once.',
    ['result'],
    ({ refreshes }) => Object.entries(refreshes).map(([result, count]) => [{ result }, count] as const),
  );
  counter(
    'autoglm_response_cache_revoked_total',
    'Answers that were in memory when they were revoked, here or elsewhere.',
    [],
    ({ revoked }) => [[{}, revoked]],
  );
  gauge('autoglm_response_cache_entries', 'Answers in memory.', ({ memoryEntries }) => memoryEntries);
  gauge('autoglm_response_cache_bytes', 'What the answers in memory take, as the cache reckons it.', ({ memoryBytes }) => memoryBytes);
  gauge(
    'autoglm_response_cache_writes_waiting',
    'Answers and embeddings that are on their way to Redis.',
    ({ waitingWrites }) => waitingWrites,
  );
  gauge(
    'autoglm_response_cache_revocations_waiting',
    'Revocations that Redis has not confirmed yet, and that are tried again.',
    ({ waitingRevocations }) => waitingRevocations,
  );
  gauge('autoglm_response_cache_flights', 'Computations that are under way and may be joined.', ({ flights }) => flights);
}
