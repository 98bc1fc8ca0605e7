import { replicaContract } from '@open-autoglm/protocol/contract';
import { describe, it } from 'vitest';
import { openAiReplica, type OpenAiReplicaOptions } from '../../src/engines/openai-compatible/index.ts';
import { promptReplica } from '../../src/engines/prompt-replica.ts';
import { createMockEngine } from '../../src/main.ts';
import { startTestServer } from '../support.ts';

const tokens = Array.from({ length: 40 }, (_, index) => `${index} `);
const script = { tokens, beforeToken: () => new Promise<void>((resolve) => setTimeout(resolve, 2)) };

replicaContract({ describe, it }, 'an engine of ours', async () => {
  const engine = createMockEngine(script);
  return {
    replica: promptReplica(engine),
    tokens: tokens.length,
    runningCount: () => engine.runningCount,
    askedCount: () => engine.requests.length,
    close: async () => {},
  };
});

// Our own server, over a socket.
const startServer = (joining: Pick<OpenAiReplicaOptions, 'joinsCompletions' | 'batching'>) => async () => {
  const server = await startTestServer(script);
  const replica = openAiReplica({
    name: 'there',
    url: `${server.url}/v1`,
    model: 'default',
    timeouts: { connect_ms: 1000, headers_ms: 10_000, idle_ms: 10_000 },
    ...joining,
  });
  return {
    replica,
    tokens: tokens.length,
    runningCount: () => server.engine.runningCount,
    askedCount: () => server.engine.requests.length,
    close: () => server.gateway.drain(),
  };
};

const completion = { input: { kind: 'completion', prompts: ['count'] }, lane: 'batch' } as const;

replicaContract({ describe, it }, 'an OpenAI-compatible server', startServer({}));
replicaContract({ describe, it }, 'an OpenAI-compatible server, asked to complete', startServer({}), completion);
replicaContract(
  { describe, it },
  'an OpenAI-compatible server, whose completions are joined',
  startServer({ joinsCompletions: true, batching: { sizeMax: 8, timeoutMs: 1000, batchShareMin: 0.1 } }),
  completion,
);
