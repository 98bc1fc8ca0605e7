/** A child process that decodes through node-llama-cpp's API. */
import type { DecodeTask } from './contestant.ts';

export interface NodeLlamaCppOptions {
  readonly modelPath: string;
  readonly threads: number;
  readonly sequenceLength: number;
  readonly maxSequences: number;
}

export type PeerCommand =
  | { readonly type: 'open'; readonly entry: string; readonly options: NodeLlamaCppOptions }
  | { readonly type: 'decode'; readonly task: DecodeTask };

export interface PeerAnswer {
  /** 0 in answer to `open`. */
  readonly tokensPerSecond: number;
}

/** What is used of node-llama-cpp, which is not installed with the repository. */
interface Peer {
  getLlama(options: { gpu: false; build: 'never'; maxThreads: number; logLevel: 'error' }): Promise<PeerLlama>;
}
interface PeerLlama {
  loadModel(options: { modelPath: string }): Promise<PeerModel>;
}
interface PeerModel {
  createContext(options: {
    sequences: number;
    contextSize: number;
    threads: number;
    batchSize: number;
  }): Promise<{ getSequence(): PeerSequence }>;
}
interface PeerSequence {
  evaluate(tokens: readonly number[], options: { temperature: number; yieldEogToken: boolean }): AsyncIterable<number>;
  clearHistory(): Promise<void>;
}

let sequences: PeerSequence[] = [];

process.on('disconnect', () => process.exit(0));
process.on('message', async (command: PeerCommand) => {
  const tokensPerSecond = command.type === 'open' ? await open(command) : await decode(command.task);
  process.send?.({ tokensPerSecond } satisfies PeerAnswer);
});

async function open({ entry, options }: Extract<PeerCommand, { type: 'open' }>): Promise<number> {
  const { getLlama } = (await import(entry)) as Peer;
  const llama = await getLlama({ gpu: false, build: 'never', maxThreads: options.threads, logLevel: 'error' });
  const model = await llama.loadModel({ modelPath: options.modelPath });
  const context = await model.createContext({
    sequences: options.maxSequences,
    contextSize: options.sequenceLength,
    threads: options.threads,
    batchSize: 512,
  });
  sequences = Array.from({ length: options.maxSequences }, () => context.getSequence());
  return 0;
}

/** Time runs from the first token of the last sequence to begin to the end; tokens before that do not count. */
async function decode({ prompts, steps }: DecodeTask): Promise<number> {
  let begun = 0;
  let counted = 0;
  let start = 0;
  await Promise.all(
    prompts.map(async (prompt, index) => {
      const sequence = sequences[index] as PeerSequence;
      await sequence.clearHistory();
      let tokens = 0;
      for await (const _ of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
        if (begun === prompts.length) counted += 1;
        if (tokens === 0 && (begun += 1) === prompts.length) start = performance.now();
        tokens += 1;
        if (tokens > steps) break;
      }
    }),
  );
  return (counted * 1000) / (performance.now() - start);
}
