import { defaultTextMapGetter, defaultTextMapSetter, ROOT_CONTEXT, SpanKind, trace, type HrTime } from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { AlwaysOnSampler, ParentBasedSampler, TracerProvider } from '@opentelemetry/sdk-trace';
import type { TraceContext } from '@open-autoglm/protocol';
import type { RequestStart } from '../../common/request-start.ts';
import type { Observer, RequestObserver } from '../observer.ts';
import { RequestProfile } from '../profile/request-profile.ts';
import type { DropCounter } from '../sinks/drop-counter.ts';
import { contentLengthMax } from '../sinks/bounded-content.ts';
import { OtlpExporter } from './otlp-exporter.ts';
import { RequestSpan } from './request-span.ts';
import { SpanQueue, type SpanQueueOptions } from './span-queue.ts';

export interface TracesConfig {
  readonly enabled: boolean;
  readonly endpoint: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly sample_ratio: number;
  readonly service_name: string;
  readonly capture_content: boolean;
}

export interface TracingOptions {
  readonly config: TracesConfig;
  readonly drops: DropCounter;
  readonly isModel: (name: string) => boolean;
  readonly queue?: Partial<SpanQueueOptions>;
  /** Uniform on [0, 1). */
  readonly random?: () => number;
}

export interface Tracing extends Observer {
  /** Spans that wait for the collector. */
  readonly waiting: number;
  /** Sends what waits, within this time; what is left then is dropped. */
  close(timeoutMs: number): Promise<void>;
}

/** About 2 KB each: 4 MB at most wait for a collector that is down. A batch is encoded at once: 128 take 0.3 ms, 512 up to 8 ms. */
const queueDefaults: SpanQueueOptions = { spansMax: 2048, batchMax: 128, delayMs: 2000, timeoutMs: 10_000 };
/** JSON of as many characters as may be recorded, though all were escaped. */
const valueLengthMax = 8 * contentLengthMax;

/** Spans of requests, sent to a collector. The one file that loads OpenTelemetry, and it is loaded only for this. */
export function startTracing({ config, drops, isModel, queue, random = Math.random }: TracingOptions): Tracing {
  const options = { ...queueDefaults, ...queue };
  const exporter = new OtlpExporter({ ...config, timeoutMs: options.timeoutMs / 2 }, (spanCount) => {
    if (spanCount > 0) drops.add(spanCount, 'the collector refused them');
  });
  const spans = new SpanQueue(exporter, options, drops);
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ 'service.name': config.service_name, 'service.instance.id': crypto.randomUUID() }),
    // Of requests that come without a trace, only those get here that are to be recorded.
    sampler: new ParentBasedSampler({ root: new AlwaysOnSampler() }),
    spanLimits: { attributeCountLimit: 128, eventCountLimit: 64, attributeValueLengthLimit: valueLengthMax },
    spanProcessors: [spans],
  });
  const tracer = provider.getTracer('open-autoglm');
  const propagator = new W3CTraceContextPropagator();

  const begin = (start: RequestStart): RequestObserver | undefined => {
    const parent = start.traceparent === undefined ? ROOT_CONTEXT : propagator.extract(ROOT_CONTEXT, start, startGetter);
    const hasParent = parent !== ROOT_CONTEXT && trace.getSpanContext(parent) !== undefined;
    if (!hasParent && random() >= config.sample_ratio) return undefined;
    const toTime = clockOf(Date.now() - performance.now());
    const span = tracer.startSpan(start.operation, { kind: SpanKind.SERVER, startTime: toTime(start.startedAtMs) }, parent);
    const context = trace.setSpan(parent, span);
    const carrier: Record<string, string> = {};
    propagator.inject(context, carrier, defaultTextMapSetter);
    const traceContext = carrier as unknown as TraceContext;
    if (!span.isRecording()) return { traceContext, on: () => {} };
    return new RequestSpan({ tracer, span, context, traceContext, toTime, isModel, hasContents: config.capture_content, profile: new RequestProfile(start, () => performance.now()) });
  };

  return {
    begin,
    // Others are told not to sample it either.
    unfollowedContext: () => ({ traceparent: unsampledParent() }),
    get waiting() {
      return spans.waiting;
    },
    async close(timeoutMs) {
      const timer = setTimeout(() => exporter.abort(), timeoutMs);
      // Who was dropped has been counted.
      await provider.shutdown().catch(() => {});
      clearTimeout(timer);
    },
  };
}

const idBytes = Buffer.alloc(24);

/** Random ids of a trace and a span, none of them all zeros, with the flags of one that is not sampled. */
function unsampledParent(): string {
  for (let offset = 0; offset < idBytes.length; offset += 4) idBytes.writeUInt32BE(Math.floor(Math.random() * 2 ** 32), offset);
  idBytes[0] = (idBytes[0] as number) | 1;
  idBytes[16] = (idBytes[16] as number) | 1;
  const ids = idBytes.toString('hex');
  return `00-${ids.slice(0, 32)}-${ids.slice(32)}-00`;
}

const startGetter = {
  keys: () => ['traceparent', 'tracestate'],
  get: (start: RequestStart, key: string) => defaultTextMapGetter.get(start, key),
};

/** `performance.now()` as OpenTelemetry's seconds and nanoseconds since 1970; one offset for all of a request keeps its order. */
function clockOf(offsetMs: number): (atMs: number) => HrTime {
  return (atMs) => {
    const sinceEpochMs = atMs + offsetMs;
    const seconds = Math.floor(sinceEpochMs / 1000);
    return [seconds, Math.floor((sinceEpochMs - seconds * 1000) * 1e6)];
  };
}
