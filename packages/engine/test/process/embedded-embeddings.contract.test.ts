import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { embeddingEngineContract } from '@open-autoglm/protocol/contract';
import { describe, it } from 'vitest';
import { startEmbeddingEngine } from '../../src/index.ts';
import { writeTinyBert } from '../support/tiny-bert.ts';

let written: Promise<string> | undefined;

async function writeModel(): Promise<string> {
  const file = path.join(await mkdtemp(path.join(tmpdir(), 'autoglm-embeddings-')), 'tiny.gguf');
  await writeTinyBert(file, { seed: 11, pooling: 'cls' });
  return file;
}

embeddingEngineContract({ describe, it }, 'the embedded embedding engine', async () => ({
  engine: startEmbeddingEngine({ model: await (written ??= writeModel()), id: 'tiny', maxQueue: 100 }),
  tooLong: 'hello '.repeat(200),
}));
