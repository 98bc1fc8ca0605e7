/** A child process that asks at a fixed rate. A late timer counts as latency: for both contestants alike. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, type Dispatcher } from 'undici';
import type { PacedAnswer, PacedTask } from './paced-client.ts';

const agent = new Agent({ connections: 64 });

process.on('disconnect', () => process.exit(0));
process.on('message', async (task: PacedTask) => {
  process.send?.(
    await run(task).then(
      (latenciesMs): PacedAnswer => ({ latenciesMs }),
      (error: Error): PacedAnswer => ({ error: error.message }),
    ),
  );
});

async function run({ url, body, perSecond, count }: PacedTask): Promise<number[]> {
  const text = JSON.stringify(body);
  const begunAt = performance.now();
  const answers: Promise<number>[] = [];
  while (answers.length < count) {
    const dueAt = begunAt + (answers.length * 1000) / perSecond;
    const waitMs = dueAt - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    answers.push(ask(url, text, dueAt));
  }
  return Promise.all(answers);
}

function ask(origin: string, body: string, dueAt: number): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const handler: Dispatcher.DispatchHandler = {
    onRequestStart() {},
    onResponseStart(controller, status) {
      if (status !== 200) controller.abort(new Error(`the gateway answered ${status}`));
    },
    onResponseData() {},
    onResponseEnd: () => resolve(performance.now() - dueAt),
    onResponseError: (_, error) => reject(error),
  };
  agent.dispatch({ origin, path: '/v1/chat/completions', method: 'POST', headers: { 'content-type': 'application/json' }, body }, handler);
  return promise;
}
