import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { AutoglmError, toAutoglmError, type EmitEvent, type Lane } from '@open-autoglm/protocol';
import type { AskCall } from '../common/asker.ts';
import type { Followed } from '../common/followed.ts';
import type { RequestStart } from '../common/request-start.ts';
import type { Access, Demand } from './access.ts';
import type { JsonBody } from './body.ts';
import type { Hand, InHand } from './in-hand.ts';
import { checkWellFormed } from './validate.ts';

/** What the door needs to know of a request that was read. */
interface Bounded {
  readonly tenant: string;
  readonly lane: Lane;
  readonly deadlineMs: number | undefined;
}

export interface IncomingBody extends JsonBody {
  /**
   * What the request changes beside being answered: done once it was let in, and before it is answered. What it rejects with is the
   * request's error.
   */
  readonly onAdmitted?: () => Promise<void>;
}

/** An HTTP request that is followed, before it was read. */
interface Taking {
  readonly message: IncomingMessage;
  readonly response: ServerResponse;
  /** Gives its body, in OpenAI's words. */
  readonly read: (signal: AbortSignal) => Promise<IncomingBody>;
  readonly start: RequestStart;
  readonly followed: Followed;
  readonly access: Access;
  readonly inHand: InHand;
}

interface Taken<T> {
  readonly hand: Hand;
  readonly parsed: T;
  readonly admission: Awaited<ReturnType<Access['admit']>>;
}

/**
 * Takes a request in hand, reads it and has it let in; one that cannot be read, or may not come in, ends here, and the error says where its
 * time went.
 */
export async function take<T>(
  { message, response, read, start, followed: { emit, timings }, access, inHand }: Taking,
  parse: (value: unknown) => T,
  demandOf: (parsed: T) => Demand,
): Promise<Taken<T>> {
  let admission: Awaited<ReturnType<Access['admit']>>;
  try {
    const hand = inHand.takeFor(response);
    const identity = access.identify(message.headers);
    const { value, hasEscapes, onAdmitted } = await read(hand.abort.signal);
    const parsed = parse(value);
    if (hasEscapes) checkWellFormed(value);
    const admitting = access.admit(identity, demandOf(parsed), emit, response);
    // Where nothing is limited, nothing is waited for.
    admission = admitting && (await admitting);
    if (onAdmitted) await onAdmitted();
    emit({ type: 'segment-end', segment: 'input', durationMs: performance.now() - start.startedAtMs, reason: 'body' });
    return { hand, parsed, admission };
  } catch (thrown) {
    tellEnd(emit, thrown);
    admission?.settle(timings.tokensUsed);
    response.setHeader('x-request-id', start.requestId);
    response.setHeader('server-timing', timings.header());
    throw thrown;
  }
}

/** A request that did not come over HTTP. */
interface Asking<Parsed> extends Omit<AskCall, 'api'> {
  readonly operation: RequestStart['operation'];
  readonly access: Access;
  readonly follow: (start: RequestStart) => Followed;
  readonly inHand: InHand;
  readonly parse: (body: unknown, headers: IncomingHttpHeaders) => Parsed;
  readonly demandOf: (parsed: Parsed) => Demand;
}

/** One that was let in. */
export interface AskedCall<Parsed> {
  readonly requestId: string;
  readonly parsed: Parsed;
  readonly followed: Followed;
  readonly hand: Hand;
}

/**
 * Takes a request that did not come over HTTP through the same door, has it answered, and ends it. Rejects with what went wrong, wherever
 * it did.
 */
export async function runAsked<Parsed extends Bounded, T>(
  { operation, body, headers, caller, signal, access, follow, inHand, parse, demandOf }: Asking<Parsed>,
  use: (asked: AskedCall<Parsed>) => Promise<T>,
): Promise<T> {
  const requestId = randomUUID();
  const followed = follow(startOf(headers, requestId, operation));
  const { emit, timings } = followed;
  const onAbort = () => hand?.abort.abort(signal.reason);
  let hand: Hand | undefined;
  let deadline: NodeJS.Timeout | undefined;
  let admission: Awaited<ReturnType<Access['admit']>>;
  try {
    signal.throwIfAborted();
    const identity = access.identify(headers, caller);
    hand = inHand.take();
    checkWellFormed(body);
    signal.addEventListener('abort', onAbort, { once: true });
    const read = parse(body, headers);
    const parsed: Parsed = caller ? { ...read, tenant: caller.tenant, lane: 'batch' } : read;
    admission = await access.admit(identity, demandOf(parsed), emit);
    signal.throwIfAborted();
    deadline = abortAfter(hand, parsed.deadlineMs);
    const result = await use({ requestId, parsed, followed, hand });
    emit({ type: 'request-end', outcome: 'answered', status: 200 });
    return result;
  } catch (thrown) {
    tellEnd(emit, signal.aborted ? reasonOf(signal) : thrown);
    throw thrown;
  } finally {
    clearTimeout(deadline);
    signal.removeEventListener('abort', onAbort);
    hand?.release();
    admission?.settle(timings.tokensUsed);
  }
}

/** A request that failed before anybody could answer it. */
function tellEnd(emit: EmitEvent, thrown: unknown): void {
  const { code, status, cause } = toAutoglmError(thrown);
  emit({ type: 'request-end', outcome: code === 'client_closed_request' ? 'abandoned' : 'failed', status, code, cause });
}

/** Who asked and gives it up may have a reason of its own, which is no failure of the request. */
function reasonOf({ reason }: AbortSignal): AutoglmError {
  return reason instanceof AutoglmError
    ? reason
    : new AutoglmError('client_closed_request', 'Whoever asked wants no answer any more.', { cause: reason });
}

/** The client's bound on its request, where it gave one. */
export function abortAfter(hand: Hand, deadlineMs: number | undefined): NodeJS.Timeout | undefined {
  if (deadlineMs === undefined) return undefined;
  return setTimeout(
    () => hand.abort.abort(new AutoglmError('deadline_exceeded', `The answer was not complete within deadline_ms: ${deadlineMs}.`)),
    deadlineMs,
  );
}

export function startOf(headers: IncomingHttpHeaders, requestId: string, operation: RequestStart['operation']): RequestStart {
  const text = (value: string | string[] | undefined) => (typeof value === 'string' ? value : undefined);
  return {
    requestId,
    operation,
    startedAtMs: performance.now(),
    traceparent: text(headers['traceparent']),
    tracestate: text(headers['tracestate']),
  };
}
