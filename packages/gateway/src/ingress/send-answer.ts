import type { ServerResponse } from 'node:http';
import { encodingOf } from '../common/accepted-encoding.ts';
import { encodeMessagePack, messagePackContentType } from '../common/message-pack.ts';

/** A resource's own answer, as JSON or as MessagePack. */
export function sendAnswer(response: ServerResponse, status: number, value: object, headers: Readonly<Record<string, string>> = {}): void {
  const encoding = encodingOf(response.req.headers.accept);
  const body = encoding === 'json' ? JSON.stringify(value) : encodeMessagePack(value, encoding);
  const contentType = encoding === 'json' ? 'application/json; charset=utf-8' : messagePackContentType(encoding);
  response.writeHead(status, { 'content-type': contentType, 'content-length': Buffer.byteLength(body), ...headers });
  response.end(body);
}
