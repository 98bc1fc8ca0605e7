import { validateHeaderValue } from 'node:http';

export interface RequestMessageParts {
  /** Of the server, without `/v1`. */
  readonly url: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** JSON. */
  readonly body: string;
}

/** The bytes of an HTTP/1.1 POST. Throws `ERR_INVALID_CHAR` for what no header can hold. */
export function makeRequestMessage({ url, path, headers, body }: RequestMessageParts): Uint8Array<ArrayBuffer> {
  const { host, pathname } = new URL(url);
  const lines = Object.entries(headers).map(([name, value]) => {
    validateHeaderValue(name, value);
    return `${name}: ${value}\r\n`;
  });
  const head = `POST ${pathname.replace(/\/$/, '')}${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: keep-alive\r\n${lines.join('')}content-length: ${Buffer.byteLength(body)}\r\n\r\n`;
  const headLength = Buffer.byteLength(head, 'latin1');
  const message = new Uint8Array(headLength + Buffer.byteLength(body));
  const buffer = Buffer.from(message.buffer);
  buffer.write(head, 0, 'latin1');
  buffer.write(body, headLength, 'utf8');
  return message;
}
