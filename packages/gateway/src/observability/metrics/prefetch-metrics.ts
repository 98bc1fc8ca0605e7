import { Counter, type Registry } from 'prom-client';

/** What metrics tell of answers that are computed ahead. Counts since the start. */
export interface PrefetchReading {
  readonly computed: number;
  readonly used: number;
  readonly wasted: number;
  readonly cancelled: number;
  readonly failed: number;
  readonly skipped: number;
  readonly tokens: number;
}

const outcomes = ['computed', 'used', 'wasted', 'cancelled', 'failed', 'skipped'] as const;

export function registerPrefetchMetrics(registry: Registry, read: () => PrefetchReading): void {
  new Counter({
    name: 'autoglm_prefetch_answers_total',
    help: 'Answers that were to be computed ahead: computed, and of these used or wasted; cancelled by real work; failed; skipped.',
    labelNames: ['outcome'],
    registers: [registry],
    collect() {
      this.reset();
      const reading = read();
      for (const outcome of outcomes) this.inc({ outcome }, reading[outcome]);
    },
  });
  new Counter({
    name: 'autoglm_prefetch_tokens_total',
    help: 'Tokens of prompts and answers that were computed ahead, or begun.',
    registers: [registry],
    collect() {
      this.reset();
      this.inc(read().tokens);
    },
  });
}
