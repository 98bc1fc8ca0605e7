import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { listModels } from '../../src/engines/openai-compatible/list-models.ts';

/** The base URL of a server that answers everything so. */
async function serve(body: string): Promise<string> {
  const server = createServer((_, response) => void response.end(body));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
}

test('A list of models is read, and no more of it than its bound', async () => {
  const list = JSON.stringify({ data: [{ id: 'a', autoglm: { source: 's' } }, { id: '' }, null, { id: 'b', autoglm: { source: 1 } }] });
  expect(await listModels(await serve(list))).toEqual([
    { id: 'a', source: 's' },
    { id: 'b', source: undefined },
  ]);
  await expect(listModels(await serve(list + ' '.repeat(4 * 1024 * 1024)))).rejects.toThrow(
    'the list of models is longer than 4194304 bytes',
  );
});
