import { defaultTextMapGetter, ROOT_CONTEXT, SpanKind, trace, TraceFlags, type HrTime, type SpanContext } from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { AlwaysOnSampler, TracerProvider } from '@opentelemetry/sdk-trace';
import type { TraceContext } from '@open-autoglm/protocol';
import type { RequestStart } from '../../common/request-start.ts';
import { wordsOf } from '../../common/words-of-error.ts';
import { Later } from '../later.ts';
import type { Observer, RequestObserver } from '../observer.ts';
import { RequestProfile } from '../profile/request-profile.ts';
import type { DropCounter } from '../sinks/drop-counter.ts';
import { contentLengthMax } from '../sinks/bounded-content.ts';
import { OtlpExporter } from './otlp-exporter.ts';
import { RequestRecord } from './request-record.ts';
import { RequestSpan } from './request-span.ts';
import { SpanIds } from './span-ids.ts';
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
/** Sampled requests whose spans are made together. One in a hundred, each by itself, took four times as long as one after the other. */
const togetherMax = 16;
/** JSON of as many characters as may be recorded, though all were escaped. */
const valueLengthMax = 8 * contentLengthMax;

/** Spans of requests, sent to a collector. The one file that loads OpenTelemetry, and it is loaded only for this. */
export function startTracing({ config, drops, isModel, queue, random = Math.random }: TracingOptions): Tracing {
  const options = { ...queueDefaults, ...queue };
  const exporter = new OtlpExporter({ ...config, timeoutMs: options.timeoutMs / 2 }, (spanCount) => {
    if (spanCount > 0) drops.add(spanCount, 'the collector refused them');
  });
  // Half of the delay is that of the requests, whose spans are made together.
  const delayMs = options.delayMs / 2;
  const spans = new SpanQueue(exporter, { ...options, delayMs }, drops);
  const ids = new SpanIds();
  const provider = new TracerProvider({
    idGenerator: ids,
    resource: resourceFromAttributes({ 'service.name': config.service_name, 'service.instance.id': crypto.randomUUID() }),
    // Only requests that are to be recorded get here.
    sampler: new AlwaysOnSampler(),
    spanLimits: { attributeCountLimit: 128, eventCountLimit: 64, attributeValueLengthLimit: valueLengthMax },
    spanProcessors: [spans],
  });
  const tracer = provider.getTracer('open-autoglm');
  const propagator = new W3CTraceContextPropagator();

  const makeSpans = (record: RequestRecord): void => {
    const { start, parent, traceId, spanId, traceContext } = record.parts;
    const toTime = clockOf(Date.now() - performance.now());
    const parentContext = parent ? trace.setSpanContext(ROOT_CONTEXT, parent) : ROOT_CONTEXT;
    const span = ids.giving({ traceId, spanId }, () =>
      tracer.startSpan(start.operation, { kind: SpanKind.SERVER, startTime: toTime(start.startedAtMs) }, parentContext),
    );
    record.replay(
      new RequestSpan({
        tracer,
        span,
        context: trace.setSpan(parentContext, span),
        traceContext,
        toTime,
        isModel,
        hasContents: config.capture_content,
        profile: new RequestProfile(start, () => performance.now()),
      }),
    );
  };
  const ended = new Later(makeSpans, {
    countMax: togetherMax,
    delayMs,
    onFailure: (error) => drops.add(1, `a request has no spans: ${wordsOf(error)}`),
  });

  const begin = (start: RequestStart): RequestObserver | undefined => {
    const parent = start.traceparent === undefined ? undefined : trace.getSpanContext(propagator.extract(ROOT_CONTEXT, start, startGetter));
    if (!parent && random() >= config.sample_ratio) return undefined;
    const traceId = parent?.traceId ?? ids.generateTraceId();
    const spanId = ids.generateSpanId();
    const isSampled = !parent || (parent.traceFlags & TraceFlags.SAMPLED) !== 0;
    const traceContext = toTraceContext(traceId, spanId, isSampled, parent);
    return isSampled
      ? new RequestRecord({ start, parent, traceId, spanId, traceContext, onEnd: (record) => ended.add(record) })
      : { traceContext, on: () => {} };
  };

  return {
    begin,
    // Others are told not to sample it either.
    unfollowedContext: () => toTraceContext(ids.generateTraceId(), ids.generateSpanId(), false),
    get waiting() {
      return spans.waiting;
    },
    async close(timeoutMs) {
      ended.flush();
      const timer = setTimeout(() => exporter.abort(), timeoutMs);
      // Who was dropped has been counted.
      await provider.shutdown().catch(() => {});
      clearTimeout(timer);
    },
  };
}

function toTraceContext(traceId: string, spanId: string, isSampled: boolean, parent?: SpanContext): TraceContext {
  const tracestate = parent?.traceState?.serialize();
  return { traceparent: `00-${traceId}-${spanId}-${isSampled ? '01' : '00'}`, ...(tracestate && { tracestate }) };
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
