import { embeddingEngineContract } from '@open-autoglm/protocol/contract';
import { describe, it } from 'vitest';
import { createMockEmbeddings } from '../../src/main.ts';

embeddingEngineContract({ describe, it }, 'the mock of embeddings', async () => ({
  engine: createMockEmbeddings(),
  tooLong: 'a'.repeat(65),
}));
