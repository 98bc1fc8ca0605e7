import { Counter, Gauge, type Registry } from 'prom-client';

interface LaneReading {
  readonly waiting: number;
  readonly running: number;
  /** By error code. */
  readonly refused: ReadonlyMap<string, number>;
}

/** What metrics tell of a model's queue. */
export interface QueueReading {
  readonly model: string;
  readonly lanes: Readonly<Record<'realtime' | 'batch', LaneReading>>;
  readonly limits: readonly { readonly engine: string; readonly limit: number }[];
}

const lanes = ['realtime', 'batch'] as const;

/** Who waits for an engine, in which lane, read when the metrics are. */
export function registerAdmissionMetrics(registry: Registry, read: () => readonly QueueReading[]): void {
  const laneGauge = (name: string, help: string, of: (lane: LaneReading) => number) =>
    new Gauge({
      name,
      help,
      labelNames: ['model_name', 'lane'],
      registers: [registry],
      collect() {
        this.reset();
        for (const { model, lanes: byLane } of read()) for (const lane of lanes) this.set({ model_name: model, lane }, of(byLane[lane]));
      },
    });
  laneGauge('autoglm_admission_waiting', 'Requests that wait to be sent to an engine.', ({ waiting }) => waiting);
  laneGauge(
    'autoglm_admission_running',
    'Sequences (requests, where other servers answer) that were sent to engines and are under way.',
    ({ running }) => running,
  );
  new Counter({
    name: 'autoglm_admission_refused_total',
    help: 'Requests refused by admission, by error code.',
    labelNames: ['model_name', 'lane', 'code'],
    registers: [registry],
    collect() {
      this.reset();
      for (const { model, lanes: byLane } of read()) {
        for (const lane of lanes) for (const [code, count] of byLane[lane].refused) this.inc({ model_name: model, lane, code }, count);
      }
    },
  });
  new Gauge({
    name: 'autoglm_admission_limit',
    help: 'Requests at once that an engine is sent at most.',
    labelNames: ['model_name', 'engine'],
    registers: [registry],
    collect() {
      this.reset();
      for (const { model, limits } of read()) for (const { engine, limit } of limits) this.set({ model_name: model, engine }, limit);
    },
  });
}
