import { Gauge, type Registry } from 'prom-client';
import type { BottleneckWindow } from '../bottleneck/window.ts';
import type { RequestProfile } from '../profile/request-profile.ts';
import { CounterFamily } from './families.ts';

/** What made requests slow: counted for ever, and over the last minute for those who keep no history. */
export class DiagnosisMetrics {
  readonly #requests: CounterFamily;
  readonly #seconds: CounterFamily;

  constructor(registry: Registry, window: BottleneckWindow, now: () => number = () => performance.now()) {
    const labelNames = ['segment', 'cause', 'detail'];
    this.#requests = new CounterFamily({
      registry,
      name: 'autoglm_bottleneck_requests_total',
      help: 'Requests that were slower than their like, by the segment that grew and why.',
      labelNames,
    });
    this.#seconds = new CounterFamily({
      registry,
      name: 'autoglm_bottleneck_seconds_total',
      help: 'Seconds by which those segments took longer than expected.',
      labelNames,
    });
    new Gauge({
      name: 'autoglm_bottleneck_recent_seconds',
      help: 'The same over the most recent requests: at most 256, of the last minute.',
      labelNames,
      registers: [registry],
      collect() {
        this.reset();
        for (const { segment, cause, detail, excessMs } of window.summary(now()).bottlenecks)
          this.set({ segment, cause, detail }, excessMs / 1000);
      },
    });
  }

  take({ bottleneck }: RequestProfile): void {
    if (!bottleneck) return;
    const { segment, cause, detail, durationMs, expectedMs } = bottleneck;
    const labels = { segment, cause, detail };
    this.#requests.series(labels).add();
    this.#seconds.series(labels).add((durationMs - expectedMs) / 1000);
  }
}
