import { Counter, type Registry } from 'prom-client';

/** Lines of the cascade's recorded outcomes (`tiers.record`), questions and judgements, that are not in the file. */
export function registerOutcomeMetrics(registry: Registry, dropped: () => number): void {
  new Counter({
    name: 'autoglm_outcomes_dropped_total',
    help: 'Outcomes of the cascade that were not recorded: the file is full, the disk too slow, or writing failed.',
    registers: [registry],
    collect() {
      this.reset();
      this.inc(dropped());
    },
  });
}
