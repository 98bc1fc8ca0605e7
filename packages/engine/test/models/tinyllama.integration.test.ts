import { greedySampling } from '@open-autoglm/protocol';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EngineCore, type LoadedModel } from '../../src/core.ts';
import { defaultHome } from '../../src/index.ts';
import { findNamedModel, type NamedModel } from '../../src/models/named-models.ts';
import { openReference } from '../../src/reference/libllama.ts';
import { argmax } from '../../src/sampler/argmax.ts';
import { openTestModel } from '../support/default-model.ts';
import { cosine } from '../support/logits.ts';

const model = findNamedModel('tinyllama') as NamedModel;
const file = path.join(defaultHome(), model.fileName());

// 320 MB are not fetched for a test: `AUTOGLM_HOME=.cache/autoglm npx autoglm pull tinyllama` brings them.
describe.skipIf(!existsSync(file))('TinyLlama, where it has been fetched', () => {
  const prompt = '<|system|>\nYou are a friendly assistant.</s>\n<|user|>\nWhat is the capital of France?</s>\n<|assistant|>\n';
  let loaded: LoadedModel;
  beforeAll(() => {
    loaded = openTestModel(file, { maxBatchSize: 2, contextLength: 512 });
  });
  afterAll(() => loaded.close());

  const segments = (text: string) =>
    text
      .split(/(<\/s>)/)
      .filter((part) => part !== '')
      .map((part) => ({ kind: part === '</s>' ? ('control' as const) : ('text' as const), text: part }));

  it('gives the logits of libllama for the same prompt, cut into the same tokens', () => {
    const reference = openReference({ modelPath: file, threads: 1, contextLength: 512, maxSequences: 1 });
    try {
      const { tokenizer } = new EngineCore(loaded, { maxBatchSize: 1, stepTokenBudget: 512, maxChunk: 512, continuous: true, maxQueue: 1 });
      const tokens = tokenizer.now(tokenizer.read({ segments: segments(prompt) }));
      expect(tokens).toEqual(reference.tokenize(prompt, { parseControl: true, addSpecial: true }));
      const [expected] = reference.evaluate(
        tokens.map((token, position) => ({ token, position, sequence: 0, wantsLogits: position === tokens.length - 1 })),
      );
      const logits = loaded.runner.prefill(0, Int32Array.from(tokens), 0, true) as Float32Array;
      expect(cosine(logits, expected as Float32Array)).toBeGreaterThan(0.999);
      expect(argmax(logits)).toBe(argmax(expected as Float32Array));
    } finally {
      reference.close();
    }
  });

  it('knows the capital of France', () => {
    const core = new EngineCore(loaded, { maxBatchSize: 1, stepTokenBudget: 512, maxChunk: 512, continuous: true, maxQueue: 1 });
    core.add({
      id: 'a',
      prompt: { segments: segments(prompt) },
      sampling: greedySampling,
      maxTokens: 24,
      stop: [],
      topLogprobs: undefined,
      cacheScope: '',
    });
    let text = '';
    while (!core.idle) for (const { part } of core.step()) if (part.type === 'text-delta') text += part.text;
    expect(text).toContain('Paris');
  });
});
