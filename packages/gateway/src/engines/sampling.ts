import type { Sampling } from '@open-autoglm/protocol';

/** OpenAI's defaults; nothing is cut off and nothing is penalised. */
const defaults = {
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: {},
} as const satisfies Omit<Sampling, 'seed'>;

/** What an engine of ours needs to know: the client's wishes, defaults for the rest, and a seed of chance when none was given. */
export function completeSampling(asked: Partial<Sampling>, random: () => number = Math.random): Sampling {
  return { ...defaults, ...asked, seed: asked.seed ?? Math.floor(random() * 2 ** 32) };
}
