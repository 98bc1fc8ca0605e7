import { describe, expect, it } from 'vitest';
import { startFakeBackend } from './upstream/fake-backend.ts';
import { chatBody as remoteBody, startRemoteGateway } from './upstream/support.ts';
import { chatBody, startTestServer } from './support.ts';

const attention = {
  observedTokens: 6,
  droppedTokens: 64,
  answerWeight: 0.25,
  blocks: [
    { start: 0, end: 64, weight: 0.5000000004 },
    { start: 128, end: 150, weight: 0.25 },
  ],
};
const wire = (index: number) => ({
  index,
  observed_tokens: 6,
  dropped_tokens: 64,
  answer_weight: 0.25,
  blocks: [
    { start: 0, end: 64, weight: 0.5 },
    { start: 128, end: 150, weight: 0.25 },
  ],
});

describe('autoglm.context_strategy and autoglm.attention', () => {
  it('reach the engine, and only where they are asked for', async () => {
    await using server = await startTestServer({ attention });
    const contextStrategy = { kind: 'window', sinks: 0, window: 512 } as const;
    await server.post('/v1/chat/completions', { ...chatBody, autoglm: { context_strategy: contextStrategy, attention: true } });
    await server.post('/v1/completions', {
      model: 'default',
      prompt: 'a',
      autoglm: { context_strategy: { kind: 'full', sinks: null }, attention: false },
    });
    await server.post('/v1/completions', { model: 'default', prompt: 'a', autoglm: { context_strategy: null } });
    expect(server.engine.requests.map((request) => [request.contextStrategy, request.attention])).toEqual([
      [contextStrategy, true],
      [{ kind: 'full' }, undefined],
      [undefined, undefined],
    ]);
  });

  it('tell what every choice attended to, in the answer and in the last event of a stream', async () => {
    await using server = await startTestServer({ attention });
    const asked = { ...chatBody, n: 2, autoglm: { attention: true } };
    const whole = (await (await server.post('/v1/chat/completions', asked)).json()) as { autoglm: object };
    expect(whole.autoglm).toMatchObject({ attention: [wire(0), wire(1)] });
    const events = (await (await server.post('/v1/chat/completions', { ...asked, stream: true })).text()).trim().split('\n\n');
    expect(JSON.parse((events.at(-2) as string).slice('data: '.length)).autoglm).toMatchObject({ attention: [wire(0), wire(1)] });
    expect(events.slice(0, -2).join()).not.toContain('autoglm');
    const without = (await (await server.post('/v1/chat/completions', chatBody)).json()) as { autoglm: object };
    expect(without.autoglm).not.toHaveProperty('attention');
  });

  it('are refused in headers, and for a model that another server runs', async () => {
    await using server = await startTestServer();
    const response = await server.post('/v1/chat/completions', chatBody, { headers: { 'x-autoglm-attention': 'true' } });
    expect([response.status, ((await response.json()) as { error: { param: string } }).error.param]).toEqual([400, 'x-autoglm-attention']);
    await using backend = await startFakeBackend();
    await using remote = await startRemoteGateway([backend.url]);
    for (const autoglm of [{ attention: true }, { context_strategy: { kind: 'window' } }]) {
      const refused = await remote.post('/v1/chat/completions', { ...remoteBody, autoglm });
      expect([refused.status, ((await refused.json()) as { error: { param: string } }).error.param]).toEqual([
        422,
        `autoglm.${Object.keys(autoglm)[0]}`,
      ]);
    }
    expect(backend.requests).toEqual([]);
  });
});
