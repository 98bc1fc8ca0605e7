/** A child process that sends requests in a closed loop and looks at as little of the answers as it can. */
import { Pool, type Dispatcher } from 'undici';
import type { LoopResult, LoopTask } from './protocol.ts';

const path = '/v1/chat/completions';
const pools = new Map<string, Pool>();

process.on('disconnect', () => process.exit());
process.on('message', async (task: LoopTask) => process.send?.(await run(task)));

async function run({
  url,
  headers,
  body,
  bodies,
  order = [],
  concurrency,
  durationMs,
  requestsMax = Infinity,
}: LoopTask): Promise<LoopResult> {
  const pool = pools.get(url) ?? new Pool(url, { connections: null, headersTimeout: 30_000 });
  pools.set(url, pool);
  const options = {
    path,
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  } as const;
  const texts = bodies?.map((each) => JSON.stringify(each));
  const isStream = (body as { stream?: boolean }).stream === true;
  const latenciesMs: number[] = [];
  const endsMs: number[] = [];
  let failed = 0;
  let failure: string | undefined;
  let begun = 0;
  const start = performance.now();
  const loop = async () => {
    while (begun < requestsMax && performance.now() - start < durationMs) {
      begun += 1;
      const sentAt = performance.now();
      const text = texts?.[order[(begun - 1) % order.length] as number];
      const problem = await ask(pool, text === undefined ? options : { ...options, body: text }, isStream);
      const endedAt = performance.now();
      if (problem === undefined) {
        latenciesMs.push(endedAt - sentAt);
        endsMs.push(endedAt - start);
      } else {
        failed += 1;
        failure ??= problem;
      }
    }
  };
  await Promise.all(Array.from({ length: concurrency }, loop));
  return { elapsedMs: performance.now() - start, latenciesMs, endsMs, failed, failure };
}

/** What went wrong, if anything did. */
function ask(pool: Dispatcher, options: Dispatcher.DispatchOptions, isStream: boolean): Promise<string | undefined> {
  return new Promise((resolve) => {
    let status = 0;
    let last: Buffer = Buffer.alloc(0);
    pool.dispatch(options, {
      onRequestStart() {},
      onResponseStart: (_, code) => void (status = code),
      onResponseData: (_, chunk) => void (last = chunk),
      onResponseEnd() {
        const isWhole = status === 200 && (!isStream || (last.includes('data: [DONE]') && !last.includes('data: {"error"')));
        resolve(isWhole ? undefined : `status ${status}: ${last.toString('utf8').slice(-300)}`);
      },
      onResponseError: (_, error) => resolve(error.message),
    });
  });
}
