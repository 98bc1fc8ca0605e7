import { engineContract } from '@open-autoglm/protocol/contract';
import { describe, it } from 'vitest';
import { startEmbeddedEngine } from '../../src/index.ts';

const text = '<|im_start|>user\n请写一篇关于人工智能的长文章，详细介绍它的历史和应用。<|im_end|>\n<|im_start|>assistant\n';

engineContract({ describe, it }, 'the embedded engine', async () => ({
  engine: startEmbeddedEngine({
    model: 'default',
    threads: 1,
    contextLength: 512,
    maxBatchSize: 4,
    stepTokenBudget: 128,
    maxQueue: 4,
    continuousBatching: true,
  }),
  longAnswer: { prompt: { segments: [{ kind: 'control', text }] }, tokens: 40 },
}));
