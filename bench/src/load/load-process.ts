/** A child process that opens HTTP streams and looks at as little of them as it can: it shares the cores with the server. */
import { Pool, type Dispatcher } from 'undici';
import { openStreamReader } from './stream-reader.ts';
import type { LoadAnswer, LoadTask, StreamResult } from './load-client.ts';

let pool: Pool | undefined;
let origin = '';

process.on('disconnect', () => process.exit(0));
process.on('message', async (task: LoadTask) => {
  process.send?.(await run(task).then((streams): LoadAnswer => ({ streams }), (error: Error): LoadAnswer => ({ error: error.message })));
});

async function run({ url, bodies }: LoadTask): Promise<StreamResult[]> {
  if (!pool || origin !== url) {
    await pool?.close();
    origin = url;
    pool = new Pool(url, { connections: 64 });
  }
  const start = performance.now();
  return Promise.all(bodies.map((body) => readStream(pool as Pool, body, start)));
}

function readStream(pool: Dispatcher, body: object, start: number): Promise<StreamResult> {
  const reader = openStreamReader(() => performance.now() - start);
  const { promise, resolve, reject } = Promise.withResolvers<StreamResult>();
  const headers = { 'content-type': 'application/json' };
  pool.dispatch(
    { path: '/v1/chat/completions', method: 'POST', headers, body: JSON.stringify(body) },
    {
      onRequestStart() {},
      onResponseStart(controller, status) {
        if (status !== 200) controller.abort(new Error(`the server answered ${status}`));
      },
      onResponseData: (_, chunk) => reader.push(chunk),
      onResponseEnd() {
        try {
          resolve(reader.end());
        } catch (error) {
          reject(error as Error);
        }
      },
      onResponseError: (_, error) => reject(error),
    },
  );
  return promise;
}
