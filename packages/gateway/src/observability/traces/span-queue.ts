import type { Context } from '@opentelemetry/api';
import { ExportResultCode } from '@opentelemetry/core';
import { BatchSpanProcessor, type ReadableSpan, type Span, type SpanExporter, type SpanProcessor } from '@opentelemetry/sdk-trace';
import { wordsOf } from '../../common/words-of-error.ts';
import type { DropCounter } from '../sinks/drop-counter.ts';

export interface SpanQueueOptions {
  /** Spans that wait; more are dropped. */
  readonly spansMax: number;
  readonly batchMax: number;
  /** How long a batch may wait to become full. */
  readonly delayMs: number;
  /** For one export; longer than the exporter's own. */
  readonly timeoutMs: number;
}

/**
 * OpenTelemetry's batches, with an account of every span that is lost: the SDK itself only tells its own log. At most
 * `spansMax` wait and `batchMax` are under way, however the collector behaves.
 */
export class SpanQueue implements SpanProcessor {
  readonly #batches: BatchSpanProcessor;
  readonly #spansMax: number;
  readonly #drops: DropCounter;
  #waiting = 0;

  constructor(exporter: SpanExporter, { spansMax, batchMax, delayMs, timeoutMs }: SpanQueueOptions, drops: DropCounter) {
    this.#spansMax = spansMax;
    this.#drops = drops;
    this.#batches = new BatchSpanProcessor({
      exporter: {
        export: (spans, done) => {
          this.#waiting -= spans.length;
          exporter.export(spans, (result) => {
            if (result.code === ExportResultCode.SUCCESS) drops.flows();
            else drops.add(spans.length, result.error ? wordsOf(result.error) : 'the export failed');
            done(result);
          });
        },
        shutdown: () => exporter.shutdown(),
      },
      maxQueueSize: spansMax,
      maxExportBatchSize: batchMax,
      scheduledDelayMillis: delayMs,
      exportTimeoutMillis: timeoutMs,
    });
  }

  get waiting(): number {
    return this.#waiting;
  }

  onStart(span: Span, context: Context): void {
    this.#batches.onStart(span, context);
  }

  onEnd(span: ReadableSpan): void {
    if (this.#waiting >= this.#spansMax) return this.#drops.add(1, 'the collector is too slow');
    this.#waiting += 1;
    this.#batches.onEnd(span);
  }

  forceFlush(): Promise<void> {
    return this.#batches.forceFlush();
  }

  shutdown(): Promise<void> {
    return this.#batches.shutdown();
  }
}
