import { fork } from 'node:child_process';
import { askProcess } from '../harness/ask-process.ts';

/** Streams that are begun together, each on a connection of its own. */
export interface LoadTask {
  readonly url: string;
  readonly bodies: readonly object[];
}

export interface StreamResult {
  /** Milliseconds from the start of the task. */
  readonly firstTokenAt: number;
  readonly endedAt: number;
  readonly promptTokens: number;
  readonly tokens: number;
  readonly finishReason: string;
}

/** `StreamResult`s, or what went wrong. */
export type LoadAnswer = { readonly streams: readonly StreamResult[] } | { readonly error: string };

/** The client in a process of its own, so that the bench's own garbage and figures do not slow it. */
export interface LoadClient {
  run(task: LoadTask): Promise<readonly StreamResult[]>;
  close(): void;
}

export function startLoadClient(): LoadClient {
  const child = fork(new URL('./load-process.ts', import.meta.url), [], { execArgv: [] });
  return {
    async run(task) {
      const answer = await askProcess<LoadAnswer>(child, task);
      if ('error' in answer) throw new Error(answer.error);
      return answer.streams;
    },
    close: () => child.disconnect(),
  };
}

/** Tokens of all streams per second, from the first token of each to its last: reading the prompts is not part of the time. */
export function decodeRate(streams: readonly StreamResult[]): number {
  return streams.reduce((sum, { tokens, firstTokenAt, endedAt }) => sum + ((tokens - 1) * 1000) / (endedAt - firstTokenAt), 0);
}

/** Tokens of all streams per second, from the first request to the end of the last answer. */
export function overallRate(streams: readonly StreamResult[]): number {
  const tokens = streams.reduce((sum, stream) => sum + stream.tokens, 0);
  return (tokens * 1000) / Math.max(...streams.map(({ endedAt }) => endedAt));
}
