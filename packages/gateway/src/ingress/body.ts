import type { IncomingMessage, ServerResponse } from 'node:http';
import { AutoglmError } from '@open-autoglm/protocol';
import { decodeMessagePack, messagePackTypes } from '../common/message-pack.ts';
import { isNestedTooDeeply, nestingMax } from '../common/nesting.ts';
import type { StepMeters } from '../common/steps/step-meter.ts';
import type { InputSteps } from '../common/steps/input-steps.ts';
import { createInflater, encodings, type ContentEncoding, type Inflater } from './inflate/inflater.ts';
import { SharedTimeout } from './shared-timeout.ts';

/**
 * A body over the limit is read on and thrown away up to here: a client that is still sending does not listen, and would
 * see a broken connection instead of the error.
 */
const discardLimitBytes = 64 * 1024 * 1024;

/**
 * Bodies must be here within this, and larger ones within what they take at this rate (4 Mbit/s): a client that drips bytes holds nothing
 * for longer.
 */
const timeoutMsMin = 60_000;
const bytesPerSecondMin = 512 * 1024;

/** How long a body of at most so many bytes may take. */
export function bodyTimeoutMs(bytesMax: number): number {
  return Math.max(timeoutMsMin, Math.ceil((bytesMax / bytesPerSecondMin) * 1000));
}

function bodyTimeout(limitBytes: number): SharedTimeout {
  return new SharedTimeout(bodyTimeoutMs(limitBytes));
}

/**
 * What is left of the body of a request that is answered already is thrown away as it comes. Where it is too much, or takes too long,
 * the connection ends with the answer.
 */
export function discardRest(message: IncomingMessage, response: ServerResponse): void {
  if (message.isPaused() || Number(message.headers['content-length'] ?? 0) > discardLimitBytes) {
    if (!response.headersSent) response.setHeader('connection', 'close');
    return;
  }
  let size = 0;
  message.on('data', ({ length }: Buffer) => {
    size += length;
    if (size > discardLimitBytes) message.destroy();
  });
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** A request's JSON, or MessagePack that says what JSON can. */
export interface JsonBody {
  readonly value: unknown;
  /** Whether a string in it may hold half of a surrogate pair: bytes of UTF-8 cannot say one, only an escape can. */
  readonly hasEscapes: boolean;
}

/** Bodies of at most so many bytes, packed or not. */
export function createBodyReading(steps: InputSteps, limitBytes: number): BodyReading {
  return { limitBytes, inflater: createInflater(steps, limitBytes), meters: steps.meters, timeout: bodyTimeout(limitBytes) };
}

/** How bodies are read. */
export interface BodyReading {
  /** Of a body as it comes, and when it is unpacked. */
  readonly limitBytes: number;
  /** Absent: packed ones are refused. */
  readonly inflater?: Inflater;
  /** Absent: they are not counted. */
  readonly meters?: StepMeters;
  /** Of all bodies that are read so; absent: each has its own. */
  readonly timeout?: SharedTimeout;
}

/**
 * Reads a request's JSON, or MessagePack, in named steps: collected; where it is packed, buffered and unpacked in a thread; and handed
 * over as a value. Throws `payload_too_large`, `request_timeout`, `unsupported_media_type`, `invalid_json`, `invalid_value`,
 * `queue_full`, or the signal's reason.
 */
export async function readJson(message: IncomingMessage, reading: BodyReading, signal: AbortSignal): Promise<JsonBody> {
  const { inflater, meters } = reading;
  const encoding = checkHeaders(message, inflater);
  const collected = await readBytes(message, reading, signal);
  const bytes = encoding === undefined || !inflater ? collected : await inflater.inflate(encoding, collected, signal);
  const startedAtMs = meters?.handOver.enter() ?? 0;
  try {
    const body = parse(message, bytes);
    meters?.handOver.leave(startedAtMs, 'done', bytes.length);
    return body;
  } catch (error) {
    meters?.handOver.leave(startedAtMs, 'failed');
    throw error;
  }
}

function parse(message: IncomingMessage, bytes: Uint8Array): JsonBody {
  if (isMessagePack(message.headers['content-type'])) return readMessagePack(bytes);
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw new AutoglmError('invalid_json', 'The body is not valid UTF-8.');
  }
  if (isNestedTooDeeply(text)) throw new AutoglmError('invalid_value', `The body is nested more than ${nestingMax} deep.`);
  try {
    return { value: JSON.parse(text), hasEscapes: text.includes('\\u') };
  } catch (error) {
    throw new AutoglmError('invalid_json', `The body is not valid JSON: ${(error as Error).message}`);
  }
}

/** The type of nearly every body: told without looking closer. */
const plainJson = 'application/json';

/** What the body is packed in; undefined: it is not. */
function checkHeaders({ headers }: IncomingMessage, inflater: Inflater | undefined): ContentEncoding | undefined {
  const type = headers['content-type'];
  if (type !== plainJson && type !== undefined && !/\bjson\b/i.test(type) && !isMessagePack(type)) {
    throw new AutoglmError(
      'unsupported_media_type',
      `The body must be JSON or MessagePack, but its content-type is ${JSON.stringify(type)}: send "content-type: application/json".`,
    );
  }
  const given = headers['content-encoding'];
  if (given === undefined) return undefined;
  const encoding = given
    .trim()
    .toLowerCase()
    .replace(/^x-gzip$/, 'gzip');
  if (encoding === 'identity') return undefined;
  if (!inflater)
    throw new AutoglmError(
      'unsupported_media_type',
      `The body must not be encoded here, but its content-encoding is ${JSON.stringify(given)}.`,
    );
  if (encodings.includes(encoding)) return encoding as ContentEncoding;
  throw new AutoglmError(
    'unsupported_media_type',
    `The body's content-encoding is ${JSON.stringify(given)}; this server takes one of ${encodings.join(', ')}, or identity.`,
  );
}

/** Whether a content type is MessagePack's, whatever parameters it has. */
export function isMessagePack(type: string | undefined): boolean {
  return type !== plainJson && type !== undefined && messagePackTypes.has((type.split(';', 1)[0] as string).trim().toLowerCase());
}

/** Bytes that are not UTF-8 can say half of a surrogate pair here. */
function readMessagePack(bytes: Uint8Array): JsonBody {
  try {
    return { value: decodeMessagePack(bytes), hasEscapes: true };
  } catch (error) {
    throw new AutoglmError('invalid_json', `The body is not valid MessagePack: ${(error as Error).message}.`);
  }
}

/**
 * By events: an iterator over the message costs more than all the rest of reading a body. Listeners that are told once by what they know
 * themselves cost half of what `once` does; they go with the message.
 */
function readBytes(
  message: IncomingMessage,
  { limitBytes, meters, timeout = bodyTimeout(limitBytes) }: BodyReading,
  signal: AbortSignal,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const meter = meters?.collect;
    const enteredAtMs = meter?.enter() ?? 0;
    const chunks: Buffer[] = [];
    let size = 0;
    let isOver = false;
    const fail = (error: Error) => {
      if (isOver) return;
      isOver = true;
      timeout.leave(onLate);
      meter?.leave(enteredAtMs, signal.aborted ? 'abandoned' : 'failed');
      reject(error);
    };
    const onData = (chunk: Buffer) => {
      size += chunk.length;
      if (size <= limitBytes) return void chunks.push(chunk);
      chunks.length = 0;
      if (size > discardLimitBytes) giveUp(tooLarge(limitBytes));
    };
    const giveUp = (error: Error) => {
      message.off('data', onData).pause();
      fail(error);
    };
    const onEnd = () => {
      if (isOver) return;
      if (size > limitBytes) return fail(tooLarge(limitBytes));
      isOver = true;
      timeout.leave(onLate);
      meter?.leave(enteredAtMs, 'done', size);
      resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks));
    };
    const onCut = (cause?: Error) => {
      // Every message is closed in the end, and an error with its stack for each of them would cost more than reading it did.
      if (isOver) return;
      fail(
        signal.aborted
          ? (signal.reason as Error)
          : new AutoglmError('client_closed_request', 'The client left before its request was complete.', { cause }),
      );
    };
    // The server's own bound is as long as its largest file takes.
    const onLate = () => giveUp(new AutoglmError('request_timeout', 'The request did not arrive in time.'));
    timeout.enter(onLate);
    message.on('data', onData);
    message.on('end', onEnd);
    message.on('error', onCut);
    message.on('close', onCut);
    // Whoever awaited something before may come too late for both.
    if (message.destroyed) onCut();
  });
}

function tooLarge(limitBytes: number): AutoglmError {
  return new AutoglmError(
    'payload_too_large',
    `The body is larger than the ${limitBytes} bytes that this server takes (server.body_limit_bytes).`,
  );
}
