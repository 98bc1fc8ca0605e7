import path from 'node:path';
import { openModel, type LoadedModel, type ModelOptions } from '../../src/core.ts';
import { defaultHome } from '../../src/index.ts';
import { resolveModel } from '../../src/models/resolve.ts';

/** The default model's file; converted by the first test that asks. */
export async function defaultModelPath(): Promise<string> {
  const { path: file } = await resolveModel({ model: 'default', home: defaultHome() });
  return path.resolve(file);
}

/** A model in this process, on one thread. */
export function openTestModel(modelPath: string, options: Partial<ModelOptions> = {}): LoadedModel {
  return openModel({
    modelPath,
    id: 'default',
    source: 'test',
    threads: 1,
    poll: 0,
    contextLength: 1024,
    maxBatchSize: 16,
    maxChunk: 512,
    ...options,
  });
}
