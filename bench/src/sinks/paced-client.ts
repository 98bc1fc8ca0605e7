import { fork } from 'node:child_process';
import { askProcess } from '../harness/ask-process.ts';

/** Requests that begin when they are due, whether or not those before have been answered. */
export interface PacedTask {
  readonly url: string;
  readonly body: object;
  readonly perSecond: number;
  readonly count: number;
}

/** Milliseconds from when each request was due to the end of its answer. */
export type PacedAnswer = { readonly latenciesMs: readonly number[] } | { readonly error: string };

export interface PacedClient {
  run(task: PacedTask): Promise<readonly number[]>;
  close(): void;
}

export function startPacedClient(): PacedClient {
  const child = fork(new URL('./paced-process.ts', import.meta.url), [], { execArgv: [] });
  return {
    async run(task) {
      const answer = await askProcess<PacedAnswer>(child, task);
      if ('error' in answer) throw new Error(answer.error);
      return answer.latenciesMs;
    },
    close: () => child.disconnect(),
  };
}
