import { Counter, type Registry } from 'prom-client';

/** Events that applications counted, by name; whoever counts them bounds the names. Rejects where they cannot be asked for. */
export type EventTotals = () => Promise<readonly { readonly name: string; readonly count: number; readonly sum: number }[]>;

const families = {
  count: { name: 'autoglm_client_events_total', help: 'Events that applications tracked.' },
  sum: { name: 'autoglm_client_event_value_total', help: 'The values that these events were tracked with, added up.' },
} as const;

/** Gateways that share a Redis all tell the same totals: take the highest of them, not their sum. */
export function registerEventMetrics(registry: Registry, totals: EventTotals): void {
  for (const field of ['count', 'sum'] as const) {
    new Counter({
      ...families[field],
      labelNames: ['event'],
      registers: [registry],
      async collect() {
        // While the store is away the last values stand: a counter that vanishes looks as if it had begun anew.
        const known = await totals().catch(() => undefined);
        if (!known) return;
        this.reset();
        for (const total of known) this.inc({ event: total.name }, total[field]);
      },
    });
  }
}
