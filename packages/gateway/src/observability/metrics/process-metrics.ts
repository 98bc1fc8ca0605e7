import { Counter, Gauge, type Registry } from 'prom-client';
import type { RuntimeWatch } from '../runtime/runtime-watch.ts';
import { gcSeconds } from './buckets.ts';
import { HistogramFamily } from './families.ts';

/**
 * The gateway's own process, under the names of prom-client's default metrics. Those themselves are not used: they keep
 * their watchers for ever, where a gateway that is closed must leave nothing behind.
 */
export function registerProcessMetrics(registry: Registry, watch: RuntimeWatch): void {
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  new Counter({
    name: 'process_cpu_seconds_total',
    help: 'User and system processor time of the gateway in seconds.',
    registers: [registry],
    collect() {
      this.reset();
      const { user, system } = process.cpuUsage();
      this.inc((user + system) / 1e6);
    },
  });
  gauge('process_start_time_seconds', 'Start of the process since the Unix epoch in seconds.', () => performance.timeOrigin / 1000);
  gauge('process_resident_memory_bytes', 'Resident memory of the gateway in bytes.', () => process.memoryUsage.rss());
  gauge('nodejs_heap_size_used_bytes', 'JavaScript heap in use in bytes.', () => process.memoryUsage().heapUsed);
  gauge('nodejs_external_memory_bytes', 'Memory of buffers outside the heap in bytes.', () => process.memoryUsage().external);
  registerLoopDelay(registry, watch);
}

/** The histogram starts anew with each reading, so that an old stall does not hide the present. */
function registerLoopDelay(registry: Registry, { loop: { delays } }: RuntimeWatch): void {
  const readings: readonly (readonly [string, string, () => number])[] = [
    ['nodejs_eventloop_lag_mean_seconds', 'Mean delay of the event loop', () => delays.mean],
    ['nodejs_eventloop_lag_p50_seconds', 'Median delay of the event loop', () => delays.percentile(50)],
    ['nodejs_eventloop_lag_p99_seconds', 'Delay of the event loop at the 99th percentile', () => delays.percentile(99)],
    ['nodejs_eventloop_lag_max_seconds', 'Longest delay of the event loop', () => delays.max],
  ];
  for (const [index, [name, what, readMicroseconds]] of readings.entries()) {
    new Gauge({
      name,
      help: `${what} since the reading before, while requests were under way, in seconds; 0 where none was.`,
      registers: [registry],
      collect() {
        this.set(delays.count === 0 ? 0 : readMicroseconds() / 1e6);
        if (index === readings.length - 1) delays.reset();
      },
    });
  }
}

/** By kind: `major`, `minor`, `incremental`, `weakcb`. */
export function createGcMetrics(registry: Registry): (kind: string, seconds: number) => void {
  const family = new HistogramFamily({
    registry,
    name: 'nodejs_gc_duration_seconds',
    help: "Pauses of the gateway's garbage collector in seconds, by kind.",
    bounds: gcSeconds,
  });
  return (kind, seconds) => family.series({ kind }).observe(seconds);
}
