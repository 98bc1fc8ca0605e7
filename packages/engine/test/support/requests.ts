import { greedySampling, type GenerateRequest, type Sampling } from '@open-autoglm/protocol';
import type { EngineCore } from '../../src/core.ts';

export const greedy: Sampling = greedySampling;

/** A greedy request for tokens ids. */
export function tokenRequest(
  id: string,
  tokens: readonly number[],
  maxTokens: number,
  changes: Partial<GenerateRequest> = {},
): GenerateRequest {
  return { id, prompt: { tokens }, sampling: greedy, maxTokens, stop: [], topLogprobs: undefined, cacheScope: '', ...changes };
}

/** Prompt tokens that differ with the seed, of any vocabulary of at least 259. */
export function somePrompt(length: number, seed = 0): number[] {
  return Array.from({ length }, (_, index) => 3 + ((index * 7919 + seed * 104_729 + ((index * seed) % 17)) % 250));
}

export interface Answer {
  readonly text: string;
  readonly cachedTokens: number | undefined;
  readonly isEnded: boolean;
  /** The step that brought its end. */
  readonly endStep: number;
}

/** Steps until all is answered, at least `stepsMin` and at most `stepsMax` times; `beforeStep` may add and abort. */
export function runAll(core: EngineCore, beforeStep: (step: number) => void, stepsMax = 5000, stepsMin = 0): ReadonlyMap<string, Answer> {
  const answers = new Map<string, Answer>();
  for (let step = 0; step <= stepsMin || !core.idle; step += 1) {
    if (step > stepsMax) throw new Error(`not all was answered in ${stepsMax} steps`);
    beforeStep(step);
    for (const { id, part } of core.step()) {
      const before = answers.get(id) ?? { text: '', cachedTokens: undefined, isEnded: false, endStep: -1 };
      if (part.type === 'text-delta') answers.set(id, { ...before, text: before.text + part.text });
      else if (part.type === 'prompt-end') answers.set(id, { ...before, cachedTokens: part.cachedTokens });
      else answers.set(id, { ...before, isEnded: true, endStep: step });
    }
  }
  return answers;
}
