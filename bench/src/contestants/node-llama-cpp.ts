import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { askProcess } from '../harness/ask-process.ts';
import type { DecodeTask } from './contestant.ts';
import type { NodeLlamaCppOptions, PeerAnswer, PeerCommand } from './node-llama-cpp-process.ts';

/** node-llama-cpp's own JavaScript API; in a process of its own, because it brings its own copy of ggml. */
export interface NodeLlamaCpp {
  /** Tokens per second of all sequences together. */
  decode(task: DecodeTask): Promise<number>;
  close(): Promise<void>;
}

/** Tokens per second with 1 and 16 sequences on 2 cores, as once measured on another machine: of use where the package is not installed. */
export const publishedFigures: Readonly<Record<number, number>> = { 1: 74, 16: 185 };

const folder = new URL('../../peers/node-llama-cpp/', import.meta.url);

/** `undefined` when the package was not installed: `npm install` in bench/peers/node-llama-cpp brings it. */
export async function openNodeLlamaCpp(options: NodeLlamaCppOptions): Promise<NodeLlamaCpp | undefined> {
  const entry = new URL('node_modules/node-llama-cpp/dist/index.js', folder);
  if (!existsSync(entry)) return undefined;
  const child = fork(new URL('./node-llama-cpp-process.ts', import.meta.url), [], {
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const ask = (command: PeerCommand) => askProcess<PeerAnswer>(child, command);
  await ask({ type: 'open', entry: entry.href, options });
  return {
    async decode(task) {
      const { tokensPerSecond } = await ask({ type: 'decode', task });
      return tokensPerSecond;
    },
    async close() {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    },
  };
}
