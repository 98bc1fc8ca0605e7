import { fork } from 'node:child_process';
import { askProcess } from '../harness/ask-process.ts';

/** Connections that each ask again as soon as they have their answer, for as long as it says. */
export interface RequestTask {
  readonly url: string;
  readonly body: object;
  readonly connections: number;
  readonly durationMs: number;
}

export interface RequestCount {
  readonly requests: number;
  /** From the first request to the last answer. */
  readonly elapsedMs: number;
}

export type RequestAnswer = RequestCount | { readonly error: string };

/** A client in a process of its own that does nothing with an answer but find its end: the server must be what limits the rate. */
export interface RequestClient {
  run(task: RequestTask): Promise<RequestCount>;
  close(): void;
}

export function startRequestClient(): RequestClient {
  const child = fork(new URL('./request-process.ts', import.meta.url), [], { execArgv: [] });
  return {
    async run(task) {
      const answer = await askProcess<RequestAnswer>(child, task);
      if ('error' in answer) throw new Error(answer.error);
      return answer;
    },
    close: () => child.disconnect(),
  };
}
