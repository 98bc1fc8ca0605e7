import type { IncomingMessage } from 'node:http';
import { AutoglmError } from '@open-autoglm/protocol';
import { decodeMessagePack, messagePackTypes } from '../common/message-pack.ts';

/**
 * A body over the limit is read on and thrown away up to here: a client that is still sending does not listen, and would
 * see a broken connection instead of the error.
 */
const discardLimitBytes = 64 * 1024 * 1024;

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** A request's JSON, or MessagePack that says what JSON can. */
export interface JsonBody {
  readonly value: unknown;
  /** Whether a string in it may hold half of a surrogate pair: bytes of UTF-8 cannot say one, only an escape can. */
  readonly hasEscapes: boolean;
}

/** Reads a request's JSON, or MessagePack. Throws `payload_too_large`, `unsupported_media_type`, `invalid_json`, or the signal's reason. */
export async function readJson(message: IncomingMessage, limitBytes: number, signal: AbortSignal): Promise<JsonBody> {
  checkHeaders(message);
  const bytes = await readBytes(message, limitBytes, signal);
  if (isMessagePack(message.headers['content-type'])) return readMessagePack(bytes);
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw new AutoglmError('invalid_json', 'The body is not valid UTF-8.');
  }
  try {
    return { value: JSON.parse(text), hasEscapes: text.includes('\\u') };
  } catch (error) {
    throw new AutoglmError('invalid_json', `The body is not valid JSON: ${(error as Error).message}`);
  }
}

function checkHeaders({ headers }: IncomingMessage): void {
  const type = headers['content-type'];
  if (type !== undefined && !/\bjson\b/i.test(type) && !isMessagePack(type)) {
    throw new AutoglmError('unsupported_media_type', `The body must be JSON or MessagePack, but its content-type is ${JSON.stringify(type)}: send "content-type: application/json".`);
  }
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') throw new AutoglmError('unsupported_media_type', `The body must not be encoded, but its content-encoding is ${JSON.stringify(encoding)}.`);
}

/** Whether a content type is MessagePack's, whatever parameters it has. */
export function isMessagePack(type: string | undefined): boolean {
  return type !== undefined && messagePackTypes.has((type.split(';', 1)[0] as string).trim().toLowerCase());
}

/** Bytes that are not UTF-8 can say half of a surrogate pair here. */
function readMessagePack(bytes: Uint8Array): JsonBody {
  try {
    return { value: decodeMessagePack(bytes), hasEscapes: true };
  } catch (error) {
    throw new AutoglmError('invalid_json', `The body is not valid MessagePack: ${(error as Error).message}.`);
  }
}

/** By events: an iterator over the message costs more than all the rest of reading a body. */
function readBytes(message: IncomingMessage, limitBytes: number, signal: AbortSignal): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const onData = (chunk: Buffer) => {
      size += chunk.length;
      if (size <= limitBytes) return void chunks.push(chunk);
      chunks.length = 0;
      if (size <= discardLimitBytes) return;
      message.off('data', onData).pause();
      reject(tooLarge(limitBytes));
    };
    const onCut = (cause?: Error) => {
      // Every message is closed in the end, and an error with its stack for each of them would cost more than reading it did.
      if (message.readableEnded) return;
      reject(signal.aborted ? (signal.reason as Error) : new AutoglmError('client_closed_request', 'The client left before its request was complete.', { cause }));
    };
    message.on('data', onData);
    message.once('end', () => (size > limitBytes ? reject(tooLarge(limitBytes)) : resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks))));
    message.once('error', onCut);
    message.once('close', onCut);
  });
}

function tooLarge(limitBytes: number): AutoglmError {
  return new AutoglmError('payload_too_large', `The body is larger than the ${limitBytes} bytes that this server takes (server.body_limit_bytes).`);
}
