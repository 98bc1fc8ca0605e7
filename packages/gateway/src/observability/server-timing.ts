import type { Segment } from '@open-autoglm/protocol';
import type { AnswerTimings } from '../common/exchange.ts';
import type { RequestObserver } from './observer.ts';

/** Collects a request's segments for the `Server-Timing` header (W3C) and the stream's last chunk. Of several choices, the slowest counts. */
export class ServerTiming implements RequestObserver, AnswerTimings {
  readonly #startedAtMs: number;
  readonly #now: () => number;
  readonly #durations = new Map<Segment, number>();
  #engine: string | undefined;
  #tier: string | undefined;

  /** `now` in milliseconds, on the clock of `startedAtMs`. */
  constructor(startedAtMs: number, now: () => number) {
    this.#startedAtMs = startedAtMs;
    this.#now = now;
  }

  on(event: Parameters<RequestObserver['on']>[0]): void {
    if (event.type === 'segment-end') this.#durations.set(event.segment, Math.max(event.durationMs, this.#durations.get(event.segment) ?? 0));
    else if (event.type === 'engine-chosen') [this.#engine, this.#tier] = [event.engine, event.tier];
  }

  get engine(): string | undefined {
    return this.#engine;
  }

  get tier(): string | undefined {
    return this.#tier;
  }

  header(): string {
    return this.#known().map(([segment, duration]) => `${segment};dur=${duration.toFixed(2)}`).join(', ');
  }

  fields(): Record<string, number> {
    return Object.fromEntries(this.#known().map(([segment, duration]) => [`${segment}_ms`, Number(duration.toFixed(3))]));
  }

  #known(): [Segment, number][] {
    return [...this.#durations, ['total', this.#now() - this.#startedAtMs]];
  }
}
