import type { GenerateRequest } from '@open-autoglm/protocol';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EngineCore, learnStepCosts, stepCostsFor, type CoreLimits, type LoadedModel } from '../../src/core.ts';
import { defaultModelPath, openTestModel } from '../support/default-model.ts';
import { greedy, runAll, somePrompt, tokenRequest } from '../support/requests.ts';
import { writeTinyModel } from '../support/tiny-model.ts';

const plain: CoreLimits = { maxBatchSize: 4, stepTokenBudget: 128, maxChunk: 512, continuous: true, maxQueue: 64 };
/** Columns cost nothing: whatever can be drafted is verified. */
const eager: CoreLimits = { ...plain, stepCosts: { costOf: () => 1, observe: () => undefined } };

function stepsAndTexts(model: LoadedModel, limits: CoreLimits, requests: readonly (readonly [number, GenerateRequest])[]) {
  const core = new EngineCore(model, limits);
  let steps = 0;
  const got = runAll(core, (step) => {
    steps = step + 1;
    for (const [at, request] of requests) if (at === step) core.add(request);
  });
  return { steps, texts: Object.fromEntries([...got].map(([id, { text }]) => [id, text])) };
}

describe('speculation', () => {
  let folder: string;
  let tinyFile: string;
  let tiny: LoadedModel;
  let real: LoadedModel;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-speculation-'));
    tinyFile = path.join(folder, 'tiny.gguf');
    await writeTinyModel(tinyFile, { architecture: 'llama', seed: 5, type: 'f16', vocabulary: 320, headLength: 32, tiedEmbeddings: true });
    // Blocks of 64 tokens, few enough that sequences lose their places.
    tiny = openTestModel(tinyFile, {
      contextLength: 1024,
      maxBatchSize: 4,
      kvCache: { strategy: 'paged', type: 'f16', maxBytes: 17 * 64 * 256 * 2 },
    });
    real = openTestModel(await defaultModelPath(), { maxBatchSize: 4 });
  });
  afterAll(async () => {
    tiny.close();
    real.close();
    await rm(folder, { recursive: true });
  });

  const endless = (model: LoadedModel): LoadedModel => ({ ...model, vocabulary: { ...model.vocabulary, endsGeneration: () => false } });
  const sampled = { ...greedy, temperature: 0.8, topP: 0.9, repetitionPenalty: 1.1, seed: 7 };

  it('gives greedy and sampled answers of the very same tokens, in fewer steps, with places lost and prompts joining', () => {
    const requests = [
      [0, tokenRequest('greedy', somePrompt(200, 1), 300)],
      [3, tokenRequest('sampled', somePrompt(150, 2), 200, { sampling: { ...sampled, temperature: 0.05 } })],
      [9, tokenRequest('warm', somePrompt(70, 3), 120, { sampling: sampled })],
      [11, tokenRequest('late', somePrompt(260, 1), 250)],
      [30, tokenRequest('short', somePrompt(20, 4), 5)],
    ] as const;
    const expected = stepsAndTexts(endless(tiny), plain, requests);
    const got = stepsAndTexts(endless(tiny), eager, requests);
    expect(got.texts).toEqual(expected.texts);
    expect(got.steps).toBeLessThan(expected.steps);
  });

  it('ends at stop strings and limits in the middle of a draft, with the logprobs of every token', () => {
    const text = '北京是中国的首都，上海是中国最大的城市，广州是中国的南大门。';
    const prompt = {
      segments: [
        {
          kind: 'control' as const,
          text: `<|im_start|>user\n请一字不差地重复三遍：${text}<|im_end|>\n<|im_start|>assistant\n${text}${text.slice(0, 6)}`,
        },
      ],
    };
    const requests = [
      [0, { ...tokenRequest('limit', [], 7), prompt }],
      [0, { ...tokenRequest('stop', [], 60, { stop: ['最大', '大门'] }), prompt }],
    ] as const;
    const partsOf = (limits: CoreLimits) => {
      const core = new EngineCore(real, limits);
      for (const [, request] of requests) core.add({ ...request, topLogprobs: 2 });
      const parts: unknown[] = [];
      while (!core.idle) {
        for (const { id, part } of core.step()) {
          if (part.type === 'text-delta') parts.push([id, part.text, part.logprobs]);
          else if (part.type === 'text-end') parts.push([id, part.finishReason, part.completionTokens]);
        }
      }
      return {
        limit: parts.filter((part) => (part as string[])[0] === 'limit'),
        stop: parts.filter((part) => (part as string[])[0] === 'stop'),
      };
    };
    expect(partsOf(eager)).toEqual(partsOf(plain));
  });

  it('learns from no step that had to build its graph', () => {
    const fresh = openTestModel(tinyFile, { contextLength: 1024, maxBatchSize: 4 });
    try {
      let observed = 0;
      const core = new EngineCore(endless(fresh), { ...plain, stepCosts: { costOf: () => 1, observe: () => void (observed += 1) } });
      core.add(tokenRequest('one', somePrompt(100, 1), 200));
      while (!core.step().some(({ part }) => part.type === 'prompt-end'));
      const kinds = new Set<string>();
      while (!core.idle) {
        const before = { graphs: fresh.runner.graphsBuilt, observed };
        core.step();
        kinds.add(`${fresh.runner.graphsBuilt > before.graphs ? 'built' : 'kept'}, ${observed > before.observed ? 'observed' : 'ignored'}`);
      }
      expect([...kinds].sort()).toEqual(['built, ignored', 'kept, observed']);
    } finally {
      fresh.close();
    }
  });

  it('counts drafts, and the tokens that they brought', () => {
    const repeating = tokenRequest('again', real.vocabulary.tokenize('春天来了，花开了。'.repeat(12), false), 60);
    const core = new EngineCore(endless(real), eager);
    core.add(repeating);
    let decodeSteps = -1;
    for (; !core.idle; decodeSteps += 1) core.step();
    const { count = 0, tokens = 0, acceptedTokens = 0 } = core.stats().drafts ?? {};
    expect(acceptedTokens).toBe(59 - decodeSteps);
    expect(tokens).toBeGreaterThanOrEqual(acceptedTokens);
    expect(count).toBeGreaterThan(0);
    expect(count).toBeLessThanOrEqual(decodeSteps);
    expect(new EngineCore(real, plain).stats().drafts).toBeUndefined();
  });

  it('is left alone where it is off, or lone steps are too short for it', () => {
    expect(stepCostsFor(real, 'none')).toBeUndefined();
    expect(learnStepCosts(real, Infinity)).toBeUndefined();
    expect(stepCostsFor(real, 'prompt_lookup')).toBeDefined();
  });

  it.each(['paged', 'static'] as const)('asks nothing of the prefix cache when it looks at steps: %s', (strategy) => {
    const fresh = openTestModel(tinyFile, {
      contextLength: 1024,
      maxBatchSize: 4,
      kvCache: strategy === 'static' ? { strategy, type: 'f16' } : { strategy, type: 'f16', maxBytes: 17 * 64 * 256 * 2 },
    });
    try {
      expect(learnStepCosts(fresh)?.costOf({ columns: 1, keys: 1, isPlain: true })).toBeLessThan(Infinity);
      expect(fresh.cache.usage).toMatchObject({ queryTokens: 0, hitTokens: 0, usedTokens: 0, cachedTokens: 0 });
    } finally {
      fresh.close();
    }
  });

  it('takes several tokens a step where the answer repeats, and one where a batch makes them dear', () => {
    const repeating = tokenRequest('again', real.vocabulary.tokenize('春天来了，花开了。'.repeat(12), false), 60);
    const model = endless(real);
    const cheap = stepsAndTexts(model, eager, [[0, repeating]]);
    const dear = stepsAndTexts(model, { ...plain, stepCosts: { costOf: ({ columns }) => columns, observe: () => undefined } }, [
      [0, repeating],
    ]);
    expect(cheap.texts).toEqual(dear.texts);
    expect(cheap.steps).toBeLessThan(dear.steps / 3);
  });
});
