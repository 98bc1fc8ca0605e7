/** The least that a proxy in Node can do: `node:http` in front, an undici pool behind, bytes passed on as they come. */
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Pool } from 'undici';

const pool = new Pool(process.argv[2] as string, { connections: null });

const server = createServer((message, response) => {
  const chunks: Buffer[] = [];
  message.on('data', (chunk: Buffer) => chunks.push(chunk));
  message.on('end', () => forward(message.url as string, Buffer.concat(chunks), response));
});
server.listen(0, '127.0.0.1', () => process.send?.({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }));
process.on('disconnect', () => process.exit());

function forward(path: string, body: Buffer, response: ServerResponse): void {
  pool.dispatch(
    { path, method: 'POST', headers: ['content-type', 'application/json'], body },
    {
      onRequestStart() {},
      onResponseStart(_, status, headers) {
        response.writeHead(status, headers);
      },
      onResponseData: (_, chunk) => void response.write(chunk),
      onResponseEnd: () => void response.end(),
      onResponseError: () => void response.destroy(),
    },
  );
}
