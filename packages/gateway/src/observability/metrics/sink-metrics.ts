import { Counter, type Registry } from 'prom-client';
import type { SinkDrops } from '../sinks/sinks.ts';

const families = {
  logs: { name: 'autoglm_log_lines_dropped_total', help: 'Log lines that were not written: the destination did not take them.' },
  traces: {
    name: 'autoglm_trace_spans_dropped_total',
    help: 'Spans that were not delivered: the collector was down, too slow, or refused them.',
  },
} as const;

/** What was lost on its way out, as the sinks count it themselves. */
export function registerSinkMetrics(registry: Registry, sinks: readonly SinkDrops[]): void {
  for (const { sink, count } of sinks) {
    new Counter({
      ...families[sink],
      registers: [registry],
      collect() {
        this.reset();
        this.inc(count());
      },
    });
  }
}
