import { connect, type Socket } from 'node:net';

/** A connection to a server. An HTTP client on top of it would cost as much as the server that it measures. */
export function open(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket = connect({ host: hostname, port: Number(port), noDelay: true }, () => resolve(socket)).once('error', reject);
  return promise;
}

/** A request for a chat completion, as its bytes. */
export function encode(body: object): Buffer {
  const text = JSON.stringify(body);
  return Buffer.from(
    `POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  );
}
