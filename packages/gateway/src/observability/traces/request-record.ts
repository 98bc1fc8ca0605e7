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
    this.#events.push(event);
    this.#times.push(atMs);
    if (event.type === 'request-end') this.parts.onEnd(this);
  }

  /** Tells all of it again. */
  replay(observer: RequestObserver): void {
    for (const [index, event] of this.#events.entries()) observer.on(event, this.#times[index] as number);
  }
}
