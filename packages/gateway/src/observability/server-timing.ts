import type { EmitEvent, Segment } from '@open-autoglm/protocol';

/** Collects a request's segments for the `Server-Timing` header and the stream's last chunk. */
export interface Timings {
  readonly emit: EmitEvent;
  readonly engine: string | undefined;
  readonly tier: string | undefined;
  /** The header's value for what is known by now (W3C Server Timing). */
  header(): string;
  /** Segments in milliseconds: `{"queue_ms": 0.1, …, "total_ms": 12.3}`. */
  fields(): Record<string, number>;
}

/** Of several choices, the slowest counts. `now` in milliseconds. */
export function collectTimings(now: () => number): Timings {
  const startedAt = now();
  const durations = new Map<Segment, number>();
  let engine: string | undefined;
  let tier: string | undefined;
  const known = (): [Segment, number][] => [...durations, ['total', now() - startedAt]];
  return {
    emit(event) {
      if (event.type === 'segment-end') durations.set(event.segment, Math.max(event.durationMs, durations.get(event.segment) ?? 0));
      else if (event.type === 'engine-chosen') ({ engine, tier } = event);
    },
    get engine() {
      return engine;
    },
    get tier() {
      return tier;
    },
    header: () => known().map(([segment, duration]) => `${segment};dur=${duration.toFixed(2)}`).join(', '),
    fields: () => Object.fromEntries(known().map(([segment, duration]) => [`${segment}_ms`, Number(duration.toFixed(3))])),
  };
}
