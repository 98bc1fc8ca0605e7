import { setImmediate as nextTurn } from 'node:timers/promises';
import { Gauge, Registry } from 'prom-client';
import type { ListedReplica } from '../../common/model-catalog.ts';
import type { BottleneckWindow } from '../bottleneck/window.ts';
import type { RequestProfile } from '../profile/request-profile.ts';
import type { GcKind, RuntimeWatch } from '../runtime/runtime-watch.ts';
import { registerAdmissionMetrics, type QueueReading } from './admission-metrics.ts';
import { registerBatchMetrics, type BatchMetricsReading } from './batch-metrics.ts';
import { registerCacheMetrics, type CacheReading } from './cache-metrics.ts';
import { DiagnosisMetrics } from './diagnosis-metrics.ts';
import { EnergyReader, registerEnergyMetrics } from './energy-metrics.ts';
import { registerEngineMetrics } from './engine-metrics.ts';
import { registerEventMetrics, type EventTotals } from './event-metrics.ts';
import { CounterFamily, type CounterSeries } from './families.ts';
import { GpuReader, registerGpuMetrics } from './gpu-metrics.ts';
import { ModelLabels } from './model-labels.ts';
import { createGcMetrics, registerProcessMetrics } from './process-metrics.ts';
import { RequestMetrics } from './request-metrics.ts';
import { registerOutcomeMetrics } from './outcome-metrics.ts';
import { registerPrefetchMetrics, type PrefetchReading } from './prefetch-metrics.ts';
import { registerSemanticMetrics, type SemanticReading } from './semantic-metrics.ts';
import { registerSinkMetrics } from './sink-metrics.ts';
import { RuleMetrics, type RulesStats } from './rule-metrics.ts';
import type { StepReading } from '../../common/steps/step-meter.ts';
import { registerStepMetrics } from './step-metrics.ts';
import type { SinkDrops } from '../sinks/sinks.ts';

export interface MetricsParts {
  /** The catalog's replicas: as many as the configuration names. */
  readonly engines: () => readonly ListedReplica[];
  /** Whether a model of this name can be asked for. */
  readonly isModel: (name: string) => boolean;
  /** Absent when nobody diagnoses. */
  readonly window: BottleneckWindow | undefined;
  /** Absent where nobody waits before an engine. */
  readonly admission?: (() => readonly QueueReading[]) | undefined;
  /** Absent where no batches are kept. */
  readonly batches?: (() => BatchMetricsReading) | undefined;
  /** Absent when nothing is cached. */
  readonly cache?: (() => CacheReading) | undefined;
  /** Absent where nothing is computed ahead. */
  readonly prefetch?: (() => PrefetchReading) | undefined;
  /** Lines; absent where the cascade's outcomes are not recorded. */
  readonly outcomesDropped?: (() => number) | undefined;
  /** Absent where nobody looks for similar questions. */
  readonly semantic?: (() => SemanticReading) | undefined;
  readonly sinks: readonly SinkDrops[];
  readonly steps?: (() => readonly StepReading[]) | undefined;
  /** Absent where there are no rules. */
  readonly rules?: (() => RulesStats) | undefined;
  /** Absent where applications' events are not counted. */
  readonly eventTotals?: EventTotals | undefined;
  readonly powercapFolder?: string;
  /** Brings the requests that are over and were not told yet. */
  readonly settle?: (() => void) | undefined;
}

/** Everything that `/metrics` tells, in Prometheus' text format. */
export class Metrics {
  readonly contentType = Registry.PROMETHEUS_CONTENT_TYPE;
  readonly #registry = new Registry();
  readonly #requests: RequestMetrics;
  readonly #diagnosis: DiagnosisMetrics | undefined;
  readonly #rules: RuleMetrics | undefined;
  readonly #failures: CounterSeries;
  readonly #settle: () => void;
  readonly #onGc: (kind: GcKind, seconds: number) => void;
  #activeCount = 0;

  constructor({
    engines,
    isModel,
    window,
    admission,
    batches,
    semantic,
    prefetch,
    outcomesDropped,
    cache,
    sinks,
    steps,
    rules,
    powercapFolder,
    eventTotals,
    settle = () => {},
  }: MetricsParts) {
    const registry = this.#registry;
    this.#settle = settle;
    this.#requests = new RequestMetrics(registry, new ModelLabels(isModel));
    this.#diagnosis = window && new DiagnosisMetrics(registry, window);
    this.#rules = rules && new RuleMetrics(registry, rules);
    this.#failures = new CounterFamily({
      registry,
      name: 'autoglm_observer_failures_total',
      help: 'Errors of what observes requests; they cost no request anything.',
      labelNames: [],
    }).series({});
    this.#onGc = createGcMetrics(registry);
    const active = () => this.#activeCount;
    new Gauge({
      name: 'autoglm_active_requests',
      help: 'Requests to generate that are under way.',
      registers: [registry],
      collect() {
        this.set(active());
      },
    });
    registerEngineMetrics(registry, engines);
    if (admission) registerAdmissionMetrics(registry, admission);
    if (batches) registerBatchMetrics(registry, batches);
    if (steps) registerStepMetrics(registry, steps);
    if (cache) registerCacheMetrics(registry, cache);
    if (prefetch) registerPrefetchMetrics(registry, prefetch);
    if (outcomesDropped) registerOutcomeMetrics(registry, outcomesDropped);
    if (semantic) registerSemanticMetrics(registry, semantic);
    registerSinkMetrics(registry, sinks);
    if (eventTotals) registerEventMetrics(registry, eventTotals);
    registerGpuMetrics(registry, new GpuReader());
    registerEnergyMetrics(registry, new EnergyReader(powercapFolder));
  }

  /** Joins what tells of the gateway's own process; once. */
  watch(watch: RuntimeWatch): void {
    registerProcessMetrics(this.#registry, watch);
  }

  onStart(): void {
    this.#activeCount += 1;
  }

  onEnd(): void {
    this.#activeCount -= 1;
  }

  /** A request that is over, and what made it slow is known. */
  onProfile(profile: RequestProfile): void {
    this.#requests.take(profile);
    this.#diagnosis?.take(profile);
    this.#rules?.take(profile);
  }

  onGc(kind: GcKind, seconds: number): void {
    this.#onGc(kind, seconds);
  }

  onObserverFailure(): void {
    this.#failures.add();
  }

  async render(): Promise<string> {
    // Of a request that has just ended, the garbage collector's pauses are known one turn later.
    await nextTurn();
    this.#settle();
    return this.#registry.metrics();
  }
}
