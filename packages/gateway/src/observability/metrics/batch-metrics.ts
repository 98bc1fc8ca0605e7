import { Counter, Gauge, type Registry } from 'prom-client';

/** What is known of batches: what this gateway has done, and what there is to do. */
export interface BatchMetricsReading {
  /** Lines that were answered or given up, by outcome. */
  readonly lines: Readonly<Record<string, number>>;
  /** Batches that came to their end here, by their last state. */
  readonly ended: Readonly<Record<string, number>>;
  /** Batches of all gateways that have not ended, by state, as last seen. */
  readonly open: Readonly<Record<string, number>>;
  /** The age of the oldest of them. */
  readonly lagMs: number;
}

const openStates = ['validating', 'in_progress', 'finalizing', 'cancelling'] as const;

/** Labels are states and outcomes only. Gateways that share a database all tell the same of what is open. */
export function registerBatchMetrics(registry: Registry, read: () => BatchMetricsReading): void {
  const counter = (name: string, help: string, label: string, values: (reading: BatchMetricsReading) => Readonly<Record<string, number>>) =>
    new Counter({
      name,
      help,
      labelNames: [label],
      registers: [registry],
      collect() {
        this.reset();
        for (const [value, count] of Object.entries(values(read()))) this.inc({ [label]: value }, count);
      },
    });
  counter(
    'autoglm_batch_lines_total',
    'Lines of batches that this gateway has answered, or given up at the end of a window or by a cancellation.',
    'outcome',
    ({ lines }) => lines,
  );
  counter('autoglm_batches_ended_total', 'Batches that this gateway has brought to their end.', 'status', ({ ended }) => ended);
  new Gauge({
    name: 'autoglm_batches_open',
    help: 'Batches that have not ended, of all gateways with this database.',
    labelNames: ['status'],
    registers: [registry],
    collect() {
      const { open } = read();
      for (const status of openStates) this.set({ status }, open[status] ?? 0);
    },
  });
  new Gauge({
    name: 'autoglm_batch_lag_seconds',
    help: 'The age of the oldest batch that has not ended; 0 where there is none.',
    registers: [registry],
    collect() {
      this.set(read().lagMs / 1000);
    },
  });
}
