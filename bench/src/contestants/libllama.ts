import { openReference, type Reference } from '@open-autoglm/engine/reference';
import type { Contestant, ContestantOptions, DecodeTask } from './contestant.ts';

/**
 * libllama as a C program would drive it: no tokenizer, no text, the likeliest token of each row of logits. With
 * `keepsThreads`, as llama.cpp's own programs do; without, as its API comes.
 */
export function openLibllama(options: ContestantOptions, { keepsThreads }: { readonly keepsThreads: boolean }): Contestant {
  const reference = openReference({
    modelPath: options.modelPath,
    threads: options.threads,
    contextLength: options.sequenceLength * options.maxSequences,
    maxSequences: options.maxSequences,
    batchSize: options.maxPrompt,
    keepsThreads,
  });
  return {
    name: keepsThreads ? 'libllama, threads kept' : 'libllama',
    decode: async (task) => decode(reference, task),
    prefill: async (prompt) => prefill(reference, prompt),
    close: async () => reference.close(),
  };
}

function decode(reference: Reference, { prompts, steps }: DecodeTask): number {
  reference.clear();
  let tokens = prompts.map((prompt, sequence) => readPrompt(reference, prompt, sequence));
  const start = performance.now();
  for (let step = 0; step < steps; step += 1) {
    tokens = reference.evaluateGreedily(
      tokens.map((token, sequence) => ({ token, position: (prompts[sequence]?.length ?? 0) + step, sequence, wantsLogits: true })),
    );
  }
  return (prompts.length * steps * 1000) / (performance.now() - start);
}

function prefill(reference: Reference, prompt: readonly number[]): number {
  reference.clear();
  const start = performance.now();
  readPrompt(reference, prompt, 0);
  return (prompt.length * 1000) / (performance.now() - start);
}

/** The first token of the answer. */
function readPrompt(reference: Reference, prompt: readonly number[], sequence: number): number {
  const last = prompt.length - 1;
  return reference.evaluateGreedily(
    prompt.map((token, position) => ({ token, position, sequence, wantsLogits: position === last })),
  )[0] as number;
}
