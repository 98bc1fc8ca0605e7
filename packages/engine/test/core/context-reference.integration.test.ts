import type { ContextStrategy } from '@open-autoglm/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EngineCore, type LoadedModel } from '../../src/core.ts';
import type { KvCache } from '../../src/kv-cache/kv-cache.ts';
import { openReference, type Reference } from '../../src/reference/libllama.ts';
import type { Runner } from '../../src/runner/runner.ts';
import { defaultModelPath, openTestModel } from '../support/default-model.ts';
import { cosine } from '../support/logits.ts';
import { runAll, tokenRequest } from '../support/requests.ts';

const text = '春天来了，公园里的花都开了，孩子们在草地上放风筝，老人们在树下下棋。';

/** libllama does the same by `llama_memory_seq_rm` and `llama_memory_seq_add`, on the default model. */
describe('dropping blocks, beside libllama', () => {
  let model: LoadedModel;
  let reference: Reference;
  beforeAll(async () => {
    const modelPath = await defaultModelPath();
    model = openTestModel(modelPath, { contextLength: 512, maxBatchSize: 2 });
    reference = openReference({ modelPath, threads: 1, contextLength: 1024, maxSequences: 1, batchSize: 512 });
  });
  afterAll(() => {
    model.close();
    reference.close();
  });

  it.each<ContextStrategy>([
    { kind: 'window', sinks: 64, window: 320 },
    { kind: 'attention', sinks: 128, window: 384 },
  ])('gives its logits after every drop: %j', (contextStrategy) => {
    const prompt = model.vocabulary.tokenize(Array.from({ length: 20 }, (_, index) => `${index}。${text}`).join(''), false);
    expect(prompt.length).toBeGreaterThan(512);
    reference.clear();
    let drops = 0;
    const cosines: number[] = [];
    /** What the engine computes, in its order: pieces of the prompt, drops, then tokens of the answer. */
    const runner = follow(model.runner, {
      prefill(logits, [, tokens, start, , known = 0]) {
        const piece = [...tokens].map((token, index) => ({
          token,
          position: start + index,
          sequence: 0,
          wantsLogits: index === tokens.length - 1,
        }));
        const rows = reference.evaluate(piece.slice(known));
        if (logits) cosines.push(cosine(logits, rows[0] as Float32Array));
      },
      decode([logits], [tokens, positions]) {
        const [row] = reference.evaluate([
          { token: tokens[0] as number, position: positions[0] as number, sequence: 0, wantsLogits: true },
        ]);
        cosines.push(cosine(logits as Float32Array, row as Float32Array));
      },
    });
    const cache = Object.create(model.cache, {
      drop: {
        value: (sequence: string, places: readonly number[], rows: number) => {
          for (const place of places.toReversed()) reference.drop(0, place * 64, (place + 1) * 64);
          drops += 1;
          return model.cache.drop(sequence, places, rows);
        },
      },
    }) as KvCache;
    const core = new EngineCore(
      { ...model, cache, runner, vocabulary: { ...model.vocabulary, endsGeneration: () => false } },
      { maxBatchSize: 1, stepTokenBudget: 256, maxChunk: 256, continuous: true, maxQueue: 1 },
    );
    runAll(core, (step) => step === 0 && core.add(tokenRequest('a', prompt, 300, { contextStrategy })));
    expect(drops).toBeGreaterThan(3);
    expect(cosines).toHaveLength(300);
    expect(Math.min(...cosines)).toBeGreaterThan(0.999);
  });
});

type Listener<F extends (...args: never[]) => unknown> = (result: ReturnType<F>, args: Parameters<F>) => void;

/** The runner, with every prompt piece and every step told. */
function follow(runner: Runner, listeners: { prefill: Listener<Runner['prefill']>; decode: Listener<Runner['decode']> }): Runner {
  return new Proxy(runner, {
    get(target, name) {
      const value = Reflect.get(target, name, target) as unknown;
      if (typeof value !== 'function') return value;
      return (...args: never[]) => {
        const result = value.apply(target, args) as never;
        if (name === 'prefill') listeners.prefill(result, args as unknown as Parameters<Runner['prefill']>);
        if (name === 'decode') listeners.decode(result, args as unknown as Parameters<Runner['decode']>);
        return result;
      };
    },
  });
}
