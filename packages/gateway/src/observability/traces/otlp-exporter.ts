import { setTimeout as sleep } from 'node:timers/promises';
import { ExportResultCode, type ExportResult } from '@opentelemetry/core';
import { JsonTraceSerializer } from '@opentelemetry/otlp-transformer';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace';

export interface OtlpOptions {
  /** `http://collector:4318`, or the whole address of a traces route. */
  readonly endpoint: string;
  readonly headers: Readonly<Record<string, string>>;
  /** For one batch, its repetitions included. */
  readonly timeoutMs: number;
}

/** Answers on which OTLP asks to send again. */
const retryable = new Set([429, 502, 503, 504]);
const firstBackoffMs = 250;
/** An answer is a few bytes; of what is no answer nothing more is read. */
const answerBytesMax = 16 * 1024;

/**
 * Sends spans as OTLP/HTTP with JSON. OpenTelemetry's own exporter for HTTP bounds the silence between two bytes of an answer
 * but not the whole of it, does not tell how many spans a collector refused, and holds the process while it waits to repeat;
 * this one has a deadline for all of it, and `abort` ends it at once.
 */
export class OtlpExporter implements SpanExporter {
  readonly #options: OtlpOptions;
  readonly #url: string;
  readonly #closing = new AbortController();
  readonly #underWay = new Set<Promise<void>>();
  readonly #onRefused: (spanCount: number) => void;

  /** `onRefused` is told of spans that the collector took the request for, but not the spans. */
  constructor(options: OtlpOptions, onRefused: (spanCount: number) => void) {
    this.#options = options;
    this.#url = tracesUrl(options.endpoint);
    this.#onRefused = onRefused;
  }

  export(spans: ReadableSpan[], done: (result: ExportResult) => void): void {
    const sent = this.#deliver(spans, done);
    this.#underWay.add(sent);
    void sent.finally(() => this.#underWay.delete(sent));
  }

  /** Waits for what is under way. */
  async shutdown(): Promise<void> {
    await Promise.all(this.#underWay);
  }

  /** Ends what is under way, and whatever would still come, as failed. */
  abort(): void {
    this.#closing.abort(new Error('the collector did not answer before the end'));
  }

  async #deliver(spans: ReadableSpan[], done: (result: ExportResult) => void): Promise<void> {
    let result: ExportResult = { code: ExportResultCode.SUCCESS };
    try {
      await this.#send(spans);
    } catch (error) {
      result = { code: ExportResultCode.FAILED, error: error as Error };
    }
    done(result);
  }

  async #send(spans: ReadableSpan[]): Promise<void> {
    const body = JsonTraceSerializer.serializeRequest(spans) as Uint8Array<ArrayBuffer>;
    const deadline = new AbortController();
    const timer = setTimeout(
      () => deadline.abort(new Error(`no answer within ${this.#options.timeoutMs} ms`)),
      this.#options.timeoutMs,
    ).unref();
    const signal = AbortSignal.any([deadline.signal, this.#closing.signal]);
    try {
      for (let backoffMs = firstBackoffMs; ; backoffMs *= 2) {
        const failure = await this.#post(body, signal);
        if (!failure) return;
        if (signal.aborted || !failure.isRetryable) throw failure.error;
        // The deadline ends this loop: each round waits twice as long.
        await sleep(backoffMs, undefined, { signal, ref: false }).catch(() => {
          throw failure.error;
        });
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** Returns why the batch was not taken. */
  async #post(
    body: Uint8Array<ArrayBuffer>,
    signal: AbortSignal,
  ): Promise<{ readonly error: Error; readonly isRetryable: boolean } | undefined> {
    try {
      const headers = { ...this.#options.headers, 'content-type': 'application/json', 'user-agent': 'open-autoglm' };
      const response = await fetch(this.#url, { method: 'POST', headers, body, signal, redirect: 'error' });
      const answer = await readBounded(response);
      if (response.ok) return void this.#onRefused(refusedCount(answer));
      return { error: new Error(`the collector answered ${response.status}`), isRetryable: retryable.has(response.status) };
    } catch (thrown) {
      const error = signal.aborted ? signal.reason : ((thrown as Error).cause ?? thrown);
      return { error: error instanceof Error ? error : new Error(String(error)), isRetryable: true };
    }
  }
}

function tracesUrl(endpoint: string): string {
  const url = new URL(endpoint);
  if (url.pathname === '/') url.pathname = '/v1/traces';
  return url.href;
}

async function readBounded(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  // Leaving the loop closes the connection.
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > answerBytesMax) break;
  }
  return text;
}

/** `partialSuccess.rejectedSpans`, an int64 and so a string in JSON. */
function refusedCount(answer: string): number {
  try {
    const { partialSuccess } = JSON.parse(answer) as { partialSuccess?: { rejectedSpans?: string | number } };
    const count = Number(partialSuccess?.rejectedSpans ?? 0);
    return count > 0 && Number.isFinite(count) ? count : 0;
  } catch {
    // A collector that took the spans may say anything.
    return 0;
  }
}
