import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readHyperparameters } from '../../src/architectures/hyperparameters.ts';
import { architectureOf } from '../../src/architectures/index.ts';
import type { LoadedModel, ModelTuning } from '../../src/core.ts';
import { openDevice } from '../../src/ggml/device.ts';
import { openGguf } from '../../src/ggml/gguf.ts';
import { loadGgml } from '../../src/ggml/library.ts';
import { unplanned } from '../../src/runner/batch-plan.ts';
import { loadWeights } from '../../src/runner/weights.ts';
import { openTestModel } from '../support/default-model.ts';
import { writeTinyModel } from '../support/tiny-model.ts';

const vocabulary = 320;
const full: ModelTuning = { fusesMatrices: true, keepsGraphs: true, measuresProducts: true };

// A measurement of what these bring compares with an engine without them: whoever is told not to must not.
describe('what is done for speed alone', () => {
  let folder: string;
  let file: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-tuning-'));
    file = path.join(folder, 'tiny.gguf');
    await writeTinyModel(file, { architecture: 'llama', seed: 5, type: 'q8_0', vocabulary, headLength: 32, tiedEmbeddings: true });
  });
  afterAll(() => rm(folder, { recursive: true }));

  const withModel = (tuning: ModelTuning, use: (model: LoadedModel) => void) => {
    const model = openTestModel(file, { contextLength: 256, maxBatchSize: 4, tuning });
    try {
      use(model);
    } finally {
      model.close();
    }
  };

  it.each([true, false])('keepsGraphs: %s', (keepsGraphs) => {
    withModel({ ...full, keepsGraphs }, ({ runner }) => {
      const step = () => runner.decode(Int32Array.of(3), Int32Array.of(0));
      step();
      const before = runner.graphsBuilt;
      for (let count = 0; count < 5; count += 1) step();
      expect(runner.graphsBuilt - before).toBe(keepsGraphs ? 0 : 5);
    });
  });

  it.each([true, false])('measuresProducts: %s', (measuresProducts) => {
    withModel({ ...full, measuresProducts }, ({ columnPlans }) => expect(columnPlans === unplanned).toBe(!measuresProducts));
  });

  it.each([true, false])('fusesMatrices: %s', (fusesMatrices) => {
    const ggml = loadGgml();
    const device = openDevice(ggml, { threads: 1, poll: 0 });
    const gguf = openGguf(ggml, file);
    const architecture = architectureOf(gguf);
    const weights = loadWeights(
      ggml,
      device,
      gguf,
      readHyperparameters(gguf, architecture.name),
      architecture.tensors,
      vocabulary,
      fusesMatrices,
    );
    try {
      for (const { attentionInput, feedForwardInput } of weights.layers)
        expect([attentionInput.fused, feedForwardInput.fused]).toEqual([fusesMatrices, fusesMatrices]);
    } finally {
      weights.close();
      gguf.close();
      device.close();
    }
  });
});
