import { resolveModel } from '@open-autoglm/engine/models';
import { defaultHome } from '@open-autoglm/engine';
import { expect, it } from 'vitest';
import { openEngine } from '../src/contestants/engine.ts';
import { openLibllama } from '../src/contestants/libllama.ts';
import { makePrompt } from '../src/contestants/prompts.ts';

it('both contestants do the whole task', async () => {
  const { path: modelPath } = await resolveModel({ model: 'default', home: defaultHome() });
  const options = { modelPath, threads: 1, sequenceLength: 128, maxSequences: 2, maxPrompt: 64 };
  const engine = openEngine(options);
  const reference = openLibllama(options, { keepsThreads: true });
  const prompts = [0, 1].map((variant) => makePrompt((text) => engine.model.vocabulary.tokenize(text, false), 16, variant));
  expect(prompts[0]).not.toEqual(prompts[1]);
  for (const contestant of [engine, reference]) {
    expect(await contestant.decode({ prompts, steps: 8 })).toBeGreaterThan(0);
    expect(await contestant.prefill(prompts[0] as number[])).toBeGreaterThan(0);
    await contestant.close();
  }
});
