import { Counter, Gauge, type Registry } from 'prom-client';

/** What metrics tell of the answers of similar questions. Counts since the start. */
export interface SemanticReading {
  readonly entries: number;
  readonly bytes: number;
  readonly asked: number;
  readonly candidates: number;
  readonly served: number;
  /** Embeddings that failed or came too late, and those that were not asked for. */
  readonly embeddings: { readonly failed: number; readonly skipped: number };
  /** Near questions that a rule told apart, by the rule's word. */
  readonly told: ReadonlyMap<string, number>;
  readonly checks: { readonly right: number; readonly wrong: number };
  /** The lowest similarity that is trusted, by wording; absent: none is. */
  readonly thresholds: ReadonlyMap<string, number>;
}

export function registerSemanticMetrics(registry: Registry, read: () => SemanticReading): void {
  const counter = (name: string, help: string, label: string, of: (reading: SemanticReading) => Iterable<readonly [string, number]>) =>
    new Counter({
      name,
      help,
      labelNames: [label],
      registers: [registry],
      collect() {
        this.reset();
        for (const [value, count] of of(read())) this.inc({ [label]: value }, count);
      },
    });
  const gauge = (name: string, help: string, of: (reading: SemanticReading) => number) =>
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(of(read()));
      },
    });
  counter(
    'autoglm_semantic_cache_questions_total',
    'Questions that no answer was kept for: asked about, with a similar question that every rule agreed to, and served its answer.',
    'step',
    ({ asked, candidates, served }) => [
      ['asked', asked],
      ['candidate', candidates],
      ['served', served],
    ],
  );
  counter('autoglm_semantic_cache_differences_total', 'Near questions that a rule told apart.', 'rule', ({ told }) => told);
  counter(
    'autoglm_semantic_cache_checks_total',
    'Answers that were computed although a similar question had one, by what comparing them has shown.',
    'result',
    ({ checks }) => Object.entries(checks),
  );
  counter(
    'autoglm_semantic_cache_embeddings_missed_total',
    'Questions without an embedding: it failed or was late, or too many were under way.',
    'reason',
    ({ embeddings }) => Object.entries(embeddings),
  );
  gauge('autoglm_semantic_cache_entries', 'Questions that can be found.', ({ entries }) => entries);
  gauge('autoglm_semantic_cache_bytes', 'What they take in memory, roughly.', ({ bytes }) => bytes);
  new Gauge({
    name: 'autoglm_semantic_cache_threshold',
    help: 'The lowest similarity that is trusted, by how much of the wording differs; absent where none is.',
    labelNames: ['wording'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [wording, threshold] of read().thresholds) this.set({ wording }, threshold);
    },
  });
}
