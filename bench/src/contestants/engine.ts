import { EngineCore, learnStepCosts, openModel, type LoadedModel, type ModelOptions, type ModelTuning } from '@open-autoglm/engine/core';
import { greedySampling, type GenerateRequest } from '@open-autoglm/protocol';
import type { Contestant, ContestantOptions, DecodeTask } from './contestant.ts';

export interface EngineContestant extends Contestant {
  readonly model: LoadedModel;
  readonly core: EngineCore;
  /** Tokens per second of one answer to a text, from its first token on, for so many tokens; and how many steps it took. */
  answer(text: string, tokens: number): { readonly rate: number; readonly steps: number };
}

export interface EngineVariant {
  readonly name?: string;
  readonly tuning?: ModelTuning;
  /** Paged in f16, as the engine process has it, when not given. */
  readonly kvCache?: ModelOptions['kvCache'];
  readonly speculates?: boolean;
  /**
   * Whose way to multiply it takes over, where nothing but the rest is to be compared: measured twice beside other programs, the ways
   * differ by more than what is compared.
   */
  readonly multipliesAs?: EngineContestant;
  /**
   * Whose model in memory it shares, where only the core differs: two copies of the weights in unlike pages differed by half. The other
   * closes it.
   */
  readonly on?: EngineContestant;
}

/** What the engine process uses. */
const poll = 50;
const maxChunk = 512;
const stepTokenBudget = 256;

/** The engine's core in this process: scheduler, runner, sampler and text decoder, everything but the process border. */
export function openEngine(
  { modelPath, threads, sequenceLength, maxSequences }: ContestantOptions,
  { name = 'engine', tuning, speculates = false, kvCache = { strategy: 'paged', type: 'f16' }, multipliesAs, on }: EngineVariant = {},
): EngineContestant {
  const model =
    on?.model ??
    openModel({
      modelPath,
      id: 'default',
      source: 'bench',
      threads,
      poll,
      contextLength: sequenceLength,
      maxBatchSize: maxSequences,
      maxChunk,
      kvCache,
      ...(tuning && { tuning }),
      ...(multipliesAs && { columnPlans: multipliesAs.model.columnPlans }),
    });
  // An answer that ended would leave a smaller batch to measure: here none does.
  const endless = { ...model, vocabulary: { ...model.vocabulary, endsGeneration: () => false } };
  const core = new EngineCore(endless, {
    maxBatchSize: maxSequences,
    stepTokenBudget,
    maxChunk,
    continuous: true,
    maxQueue: maxSequences,
    stepCosts: speculates ? learnStepCosts(model) : undefined,
  });
  return {
    name,
    model,
    core,
    decode: async (task) => decode(core, task),
    prefill: async (prompt) => prefill(core, prompt),
    answer: (text, tokens) => answer(core, core.tokenizer.now(core.tokenizer.read({ segments: [{ kind: 'control', text }] })), tokens),
    close: async () => (on ? undefined : model.close()),
  };
}

function decode(core: EngineCore, { prompts, steps }: DecodeTask): number {
  for (const [sequence, prompt] of prompts.entries()) core.add(request(`sequence ${sequence}`, prompt, undefined));
  try {
    for (let begun = 0; begun < prompts.length;) begun += countParts(core, 'prompt-end');
    const start = performance.now();
    let tokens = 0;
    for (let step = 0; step < steps; step += 1) tokens += countParts(core, 'text-delta');
    const seconds = (performance.now() - start) / 1000;
    if (tokens !== prompts.length * steps)
      throw new Error(`the engine made ${tokens} tokens in ${steps} steps of ${prompts.length} sequences`);
    return tokens / seconds;
  } finally {
    for (const sequence of prompts.keys()) core.abort(`sequence ${sequence}`);
  }
}

function prefill(core: EngineCore, prompt: readonly number[]): number {
  const start = performance.now();
  core.add(request('prompt', prompt, 1));
  while (!core.idle) core.step();
  return (prompt.length * 1000) / (performance.now() - start);
}

function answer(core: EngineCore, prompt: readonly number[], tokens: number): { readonly rate: number; readonly steps: number } {
  core.add(request('answer', prompt, tokens));
  while (countParts(core, 'prompt-end') === 0);
  const start = performance.now();
  let steps = 0;
  for (; !core.idle; steps += 1) core.step();
  return { rate: ((tokens - 1) * 1000) / (performance.now() - start), steps };
}

/** One step; how many parts of a kind it brought. */
function countParts(core: EngineCore, type: 'prompt-end' | 'text-delta'): number {
  return core.step().filter(({ part }) => part.type === type).length;
}

let scopes = 0;

/** In a scope of its own where none is given: what was measured before must not shorten what is measured now. */
export function request(
  id: string,
  prompt: readonly number[],
  maxTokens: number | undefined,
  cacheScope = `scope ${(scopes += 1)}`,
): GenerateRequest {
  return { id, prompt: { tokens: prompt }, sampling: greedySampling, maxTokens, stop: [], topLogprobs: undefined, cacheScope };
}
