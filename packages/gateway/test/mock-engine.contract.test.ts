import { engineContract } from '@open-autoglm/protocol/contract';
import { describe, it } from 'vitest';
import { createMockEngine } from '../src/main.ts';

const tokens = Array.from({ length: 40 }, (_, index) => `${index} `);

engineContract({ describe, it }, 'the mock engine', async () => ({
  engine: createMockEngine({ tokens, beforeToken: () => new Promise((resolve) => setImmediate(resolve)) }),
  longAnswer: { prompt: { segments: [{ kind: 'text', text: 'count' }] }, tokens: tokens.length },
}));
