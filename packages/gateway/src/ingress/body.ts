import type { IncomingMessage } from 'node:http';
import { AutoglmError } from '@open-autoglm/protocol';

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Reads a request's JSON. Throws `payload_too_large`, `unsupported_media_type`, `invalid_json`, or the signal's reason. */
export async function readJson(message: IncomingMessage, limitBytes: number, signal: AbortSignal): Promise<unknown> {
  checkHeaders(message, limitBytes);
  const bytes = await readBytes(message, limitBytes, signal);
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw new AutoglmError('invalid_json', 'The body is not valid UTF-8.');
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AutoglmError('invalid_json', `The body is not valid JSON: ${(error as Error).message}`);
  }
}

function checkHeaders({ headers }: IncomingMessage, limitBytes: number): void {
  const type = headers['content-type'];
  if (type !== undefined && !/\bjson\b/i.test(type)) {
    throw new AutoglmError('unsupported_media_type', `The body must be JSON, but its content-type is ${JSON.stringify(type)}: send "content-type: application/json".`);
  }
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') throw new AutoglmError('unsupported_media_type', `The body must not be encoded, but its content-encoding is ${JSON.stringify(encoding)}.`);
  if (Number(headers['content-length'] ?? 0) > limitBytes) throw tooLarge(limitBytes);
}

async function readBytes(message: IncomingMessage, limitBytes: number, signal: AbortSignal): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of message.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > limitBytes) throw tooLarge(limitBytes);
      chunks.push(chunk);
    }
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof AutoglmError) throw error;
    throw new AutoglmError('client_closed_request', 'The client left before its request was complete.', { cause: error });
  }
  return Buffer.concat(chunks);
}

function tooLarge(limitBytes: number): AutoglmError {
  return new AutoglmError('payload_too_large', `The body is larger than the ${limitBytes} bytes that this server takes (server.body_limit_bytes).`);
}
