import { Counter, Gauge, type Registry } from 'prom-client';
import { stepBoundsMs, type StepReading } from '../../common/steps/step-meter.ts';
import { HistogramFamily } from './families.ts';

/** The steps of what comes in: collected, buffered for a thread, preprocessed there, handed over. Counted by themselves. */
export function registerStepMetrics(registry: Registry, read: () => readonly StepReading[]): void {
  new HistogramFamily({
    registry,
    name: 'autoglm_input_step_seconds',
    help: 'Time that bodies and images spent in a step before the request began, in seconds.',
    bounds: stepBoundsMs.map((bound) => bound / 1000),
    collect: (family) => read().forEach(({ step, durationMs }) => family.load({ step }, durationMs, 1 / 1000)),
  });
  new Gauge({
    name: 'autoglm_input_step_depth',
    help: 'Bodies and images in a step.',
    labelNames: ['step'],
    registers: [registry],
    collect() {
      for (const { step, depth } of read()) this.set({ step }, depth);
    },
  });
  new Counter({
    name: 'autoglm_input_step_items_total',
    help: 'Bodies and images that left a step, by how.',
    labelNames: ['step', 'end'],
    registers: [registry],
    collect() {
      this.reset();
      for (const { step, ended } of read()) for (const [end, count] of Object.entries(ended)) this.inc({ step, end }, count);
    },
  });
  new Counter({
    name: 'autoglm_input_step_bytes_total',
    help: 'Bytes that left a step.',
    labelNames: ['step'],
    registers: [registry],
    collect() {
      this.reset();
      for (const { step, bytes } of read()) this.inc({ step }, bytes);
    },
  });
}
