import type { IncomingHttpHeaders } from 'node:http';
import { AutoglmError, type GatewayRequest, type PartsIterator, type StreamPart } from '@open-autoglm/protocol';
import type { Dispatcher } from 'undici';
import { AnswerReader } from './answer-reader.ts';
import { isStaleConnection } from './connector.ts';
import { errorOfConnection, errorOfStatus } from './errors.ts';
import { SseReader } from './sse-reader.ts';
import { stateFacts } from './state-facts.ts';

/** Parts that wait to be taken: from here on the server is not read any further, until few are left. */
const partsMax = 256;
const partsFew = 64;
/** An answer that is not streamed, and the text of an error. */
const wholeBytesMax = 32 * 1024 * 1024;
const errorBytesMax = 64 * 1024;

export interface UpstreamCall {
  /** Named in errors. */
  readonly engine: string;
  readonly request: GatewayRequest;
  readonly dispatcher: Dispatcher;
  readonly options: Dispatcher.DispatchOptions;
  /** The server answered (undefined), or why it did not; not called when the client left first. */
  readonly onOutcome: (error: AutoglmError | undefined) => void;
}

interface Reader {
  resolve(result: IteratorResult<StreamPart>): void;
  reject(error: unknown): void;
}

/** `left`: nobody wanted the rest. */
type End = { readonly error: unknown } | 'complete' | 'left';

/** How a response body is read, by its status and type. */
type Body =
  | { readonly kind: 'events'; readonly reader: SseReader }
  | { readonly kind: 'whole' | 'error'; readonly chunks: Buffer[]; readonly limitBytes: number };

/**
 * One request to another server and its answer as parts. It is sent with the first `next()`; an abort or `return()` closes the
 * connection at once, which is how every server of the field hears that nobody waits any more.
 *
 * Written as undici's handler instead of over its streams: those would cost more for each request than all of this.
 */
export class UpstreamAnswer implements AsyncIterableIterator<StreamPart>, PartsIterator, Dispatcher.DispatchHandler {
  readonly #call: UpstreamCall;
  readonly #answer: AnswerReader;
  readonly #onAbort = () => this.#fail(this.#call.request.signal.reason);
  #parts: StreamPart[] = [];
  #taken = 0;
  #reader: Reader | undefined;
  #end: End | undefined;
  #controller: Dispatcher.DispatchController | undefined;
  #sentAtMs: number | undefined;
  #firstPartAtMs: number | undefined;
  #response: { readonly status: number; readonly headers: IncomingHttpHeaders; readonly body: Body } | undefined;
  #bodyBytes = 0;
  #hasRetried = false;

  constructor(call: UpstreamCall) {
    this.#call = call;
    this.#answer = new AnswerReader(call.engine, call.request, (part) => this.#parts.push(part));
  }

  next(): Promise<IteratorResult<StreamPart>> {
    if (this.#sentAtMs === undefined && !this.#end) this.#begin();
    const known = this.nextNow();
    if (known) return Promise.resolve(known);
    if (typeof this.#end === 'object') {
      const { error } = this.#end;
      this.#end = 'complete';
      return Promise.reject(error as Error);
    }
    return new Promise((resolve, reject) => (this.#reader = { resolve, reject }));
  }

  nextNow(): IteratorResult<StreamPart> | undefined {
    const part = this.#parts[this.#taken];
    if (part) return { value: this.#take(part), done: false };
    return this.#end === 'complete' || this.#end === 'left' ? { value: undefined, done: true } : undefined;
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    this.#parts = [];
    this.#taken = 0;
    if (!this.#end) {
      this.#settle('left');
      this.#controller?.abort(new Error('the reader left'));
    } else if (this.#controller?.paused) {
      // What is left of the response must be read before the connection can serve another.
      this.#controller.resume();
    }
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // It had to wait for a connection, and the client did not.
    if (this.#end) controller.abort(new Error('the reader left'));
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) return;
    this.#response = { status, headers, body: this.#bodyOf(status, String(headers['content-type'] ?? '').toLowerCase()) };
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#end || !this.#response) return;
    const { body } = this.#response;
    if (body.kind === 'events') {
      this.#read(() => body.reader.push(chunk));
      if (this.#parts.length - this.#taken > partsMax) controller.pause();
      if (this.#answer.isDone) this.#complete();
      return;
    }
    this.#bodyBytes += chunk.length;
    if (this.#bodyBytes <= body.limitBytes) body.chunks.push(chunk);
    // Another engine's would be as large, and nothing is wrong with this one.
    else if (body.kind === 'whole')
      this.#fail(
        new AutoglmError(
          'request_unprocessable',
          `The answer is larger than the ${body.limitBytes} bytes that one may have here in one piece: ask for it as a stream, or for less.`,
        ),
      );
  }

  onResponseEnd(): void {
    if (this.#end || !this.#response) return;
    const { status, headers, body } = this.#response;
    if (body.kind === 'events') {
      this.#read(() => body.reader.end());
    } else {
      const { chunks } = body;
      const text = (chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)).toString('utf8');
      if (body.kind === 'error')
        return this.#fail(errorOfStatus(this.#call.engine, status, text, String(headers['retry-after'] ?? '') || undefined));
      this.#read(() => this.#answer.readWhole(text));
    }
    this.#complete();
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    if (this.#end) return;
    if (!this.#hasRetried && !this.#response && isStaleConnection(error, performance.now() - (this.#sentAtMs as number))) {
      this.#hasRetried = true;
      this.#call.dispatcher.dispatch(this.#call.options, this);
      return;
    }
    // What was still to come is its usage, or nothing.
    if (this.#answer.isFinished) return this.#complete();
    // The text of an error is only for people; its status is known.
    if (this.#response?.body.kind === 'error') this.#fail(errorOfStatus(this.#call.engine, this.#response.status, ''));
    else this.#fail(errorOfConnection(this.#call.engine, error));
  }

  #begin(): void {
    const { request, dispatcher, options } = this.#call;
    this.#sentAtMs = performance.now();
    request.signal.addEventListener('abort', this.#onAbort, { once: true });
    if (request.signal.aborted) this.#onAbort();
    else dispatcher.dispatch(options, this);
  }

  #bodyOf(status: number, type: string): Body {
    if (status !== 200) return { kind: 'error', chunks: [], limitBytes: errorBytesMax };
    if (type.startsWith('text/event-stream'))
      return {
        kind: 'events',
        reader: new SseReader(
          (data) => this.#answer.isDone || this.#answer.readEvent(data),
          (error) => this.#answer.isDone || this.#answer.readError(error),
        ),
      };
    if (!/\bjson\b/.test(type))
      this.#fail(
        new AutoglmError(
          'upstream_error',
          `The engine ${this.#call.engine} answered with ${JSON.stringify(type)} instead of JSON or events.`,
        ),
      );
    return { kind: 'whole', chunks: [], limitBytes: wholeBytesMax };
  }

  /** Reads what came; what was read before an error still counts. */
  #read(read: () => void): void {
    try {
      read();
    } catch (error) {
      this.#fail(
        error instanceof RangeError
          ? new AutoglmError('upstream_error', `The engine ${this.#call.engine} sent ${error.message}.`, { cause: error })
          : error,
      );
    }
    this.#deliver();
  }

  #complete(): void {
    if (this.#end) return;
    try {
      this.#answer.end();
    } catch (error) {
      return this.#fail(error);
    }
    stateFacts(this.#parts, this.#call.request.emit);
    this.#settle('complete');
    this.#call.onOutcome(undefined);
    this.#deliver();
  }

  #fail(error: unknown): void {
    if (this.#end) return;
    const { signal } = this.#call.request;
    // Who left wants nothing more; who is still there gets what came before the failure.
    if (signal.aborted) {
      this.#parts = [];
      this.#taken = 0;
    }
    this.#settle({ error });
    if (!signal.aborted) this.#call.onOutcome(error as AutoglmError);
    this.#controller?.abort(error instanceof Error ? error : new Error('the request was aborted'));
    this.#deliver();
  }

  #settle(end: End): void {
    const { request } = this.#call;
    this.#end = end;
    request.signal.removeEventListener('abort', this.#onAbort);
    const since = this.#firstPartAtMs ?? this.#sentAtMs;
    if (since !== undefined)
      request.emit({
        type: 'segment-end',
        segment: 'upstream',
        durationMs: performance.now() - since,
        reason: end === 'complete' ? 'answer' : end === 'left' || request.signal.aborted ? 'left' : 'failed',
      });
  }

  /** Gives the one who waits what there is. */
  #deliver(): void {
    const part = this.#parts[this.#taken];
    if (part && this.#firstPartAtMs === undefined) this.#noteFirstPart();
    const reader = this.#reader;
    if (!reader || (!part && !this.#end)) return;
    this.#reader = undefined;
    if (part) reader.resolve({ value: this.#take(part), done: false });
    else this.next().then(reader.resolve, reader.reject);
  }

  #take(part: StreamPart): StreamPart {
    this.#taken += 1;
    const left = this.#parts.length - this.#taken;
    if (left === 0) {
      this.#parts = [];
      this.#taken = 0;
    }
    if (left < partsFew && this.#controller?.paused) this.#controller.resume();
    return part;
  }

  #noteFirstPart(): void {
    const now = performance.now();
    this.#firstPartAtMs = now;
    this.#call.request.emit({
      type: 'segment-end',
      segment: 'upstream',
      durationMs: now - (this.#sentAtMs as number),
      reason: 'first byte',
    });
  }
}
