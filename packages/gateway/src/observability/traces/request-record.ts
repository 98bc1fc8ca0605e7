import type { SpanContext } from '@opentelemetry/api';
import type { GatewayEvent, TraceContext } from '@open-autoglm/protocol';
import type { RequestStart } from '../../common/request-start.ts';
import type { RequestObserver } from '../observer.ts';

export interface RecordParts {
  readonly start: RequestStart;
  /** Of the client's span; undefined: the request begins a trace. */
  readonly parent: SpanContext | undefined;
  /** Of the span that is to be made. */
  readonly traceId: string;
  readonly spanId: string;
  readonly traceContext: TraceContext;
  readonly onEnd: (record: RequestRecord) => void;
}

/** More than the choices of any request have. */
const eventsMax = 2048;

/** What a sampled request tells until it is over: its spans are made afterwards. */
export class RequestRecord implements RequestObserver {
  readonly parts: RecordParts;
  readonly #events: GatewayEvent[] = [];
  readonly #times: number[] = [];

  constructor(parts: RecordParts) {
    this.parts = parts;
  }

  get traceContext(): TraceContext {
    return this.parts.traceContext;
  }

  on(event: GatewayEvent, atMs: number): void {
    if (this.#events.length < eventsMax || !this.#join(event, atMs)) {
      this.#events.push(event);
      this.#times.push(atMs);
    }
    if (event.type === 'request-end') this.parts.onEnd(this);
  }

  /** Adds the time of one wait to that of another of its kind: a slow client of a long stream is waited for again and again. */
  #join(event: GatewayEvent, atMs: number): boolean {
    if (event.type !== 'segment-end' || event.choice !== undefined) return false;
    const { segment, reason, durationMs } = event;
    const index = this.#events.findLastIndex(
      (kept) => kept.type === 'segment-end' && kept.choice === undefined && kept.segment === segment && kept.reason === reason,
    );
    const kept = this.#events[index];
    if (kept?.type !== 'segment-end') return false;
    this.#events[index] = { ...kept, durationMs: kept.durationMs + durationMs };
    this.#times[index] = atMs;
    return true;
  }

  /** Tells all of it again. */
  replay(observer: RequestObserver): void {
    for (const [index, event] of this.#events.entries()) observer.on(event, this.#times[index] as number);
  }
}
