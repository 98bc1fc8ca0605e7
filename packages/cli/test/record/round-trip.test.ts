import { createMockEngine, defaultConfig, startGateway } from '@open-autoglm/gateway';
import { describe, expect, it } from 'vitest';
import { openTrace, type TraceEntry } from '../../src/replay/trace/open-trace.ts';
import type { TracePrompt } from '../../src/replay/trace/trace-format.ts';
import { post, startRecording } from './support.ts';

async function startServer() {
  const config = { ...defaultConfig, server: { ...defaultConfig.server, port: 0, drain_timeout_ms: 200 } };
  const gateway = await startGateway({
    config,
    engine: createMockEngine({ tokens: Array.from({ length: 30 }, (_, index) => `token ${index} `) }),
  });
  return { url: gateway.url, [Symbol.asyncDispose]: () => gateway.drain() };
}

async function readTrace(file: string) {
  const trace = await openTrace(file, 'auto');
  expect(trace.format.name).toBe('autoglm');
  const entries: TraceEntry[] = [];
  for await (const entry of trace.entries()) entries.push(entry);
  return entries.map((entry) => {
    if (entry.kind !== 'request') throw new Error(`line ${entry.line} is broken: ${entry.reason}`);
    return { ...entry, prompt: entry.request.prompt as TracePrompt & { kind: 'character-blocks' } };
  });
}

/** Blocks that two prompts begin with. */
function sharedBlocks(a: TracePrompt & { kind: 'character-blocks' }, b: TracePrompt & { kind: 'character-blocks' }): number {
  let count = 0;
  while (count < a.blocks.length && a.blocks[count] === b.blocks[count]) count += 1;
  return count;
}

describe('what was recorded of our own server', () => {
  it('is replayed: arrivals, lengths, shared prefixes', async () => {
    await using server = await startServer();
    await using recording = await startRecording(server.url);
    const system = { role: 'system', content: '你是一个有帮助的助手。'.repeat(30) };
    const contents = ['第一个问题', '第二个问题', 'a question of its own'];
    const askedAt: number[] = [];
    const promptTokens: number[] = [];
    for (const [index, content] of contents.entries()) {
      askedAt.push(performance.now());
      const messages = [...(index < 2 ? [system] : []), { role: 'user', content }];
      const response = await post(recording.url, {
        model: 'default',
        stream: true,
        stream_options: { include_usage: true },
        max_tokens: 10 + index,
        messages,
      });
      const text = await response.text();
      promptTokens.push(Number(/"prompt_tokens":(\d+)/.exec(text)?.[1]));
    }
    await recording.end();
    const requests = await readTrace(recording.file);
    expect(requests.map(({ request }) => request.outputTokens)).toEqual([10, 11, 12]);
    expect(requests.map(({ prompt }) => prompt.tokens)).toEqual(promptTokens);
    const sharedText = `system${system.content}user第`;
    expect(sharedBlocks((requests[0] as (typeof requests)[0]).prompt, (requests[1] as (typeof requests)[0]).prompt)).toBe(
      Math.floor(sharedText.length / 64),
    );
    expect(sharedBlocks((requests[0] as (typeof requests)[0]).prompt, (requests[2] as (typeof requests)[0]).prompt)).toBe(0);
    // Each arrival, the first one's too, is noted between the moment of asking and that of asking again.
    for (const [index, { atMs, wentBack }] of requests.entries()) {
      expect(wentBack).toBe(false);
      expect(atMs).toBeGreaterThan((askedAt[index] as number) - (askedAt[1] as number));
      expect(atMs).toBeLessThan((askedAt[index + 1] ?? Infinity) - (askedAt[0] as number));
    }
  });

  it('is counted in tokens, though the client did not ask for the usage', async () => {
    await using server = await startServer();
    await using recording = await startRecording(server.url);
    const body = { model: 'default', max_tokens: 9, messages: [{ role: 'user', content: '你好' }] };
    const { usage } = (await (await post(server.url, body)).json()) as { usage: { prompt_tokens: number } };
    await (await post(recording.url, { ...body, stream: true })).text();
    expect((await recording.end()).lines).toMatchObject([
      { prompt: { tokens: usage.prompt_tokens }, output_tokens: 9, recorded: { counted_by: 'usage' } },
    ]);
  });

  it('is sent again as it was, where contents are recorded', async () => {
    await using server = await startServer();
    await using recording = await startRecording(server.url, { contents: true });
    const body = { model: 'default', stream: true, temperature: 0, max_tokens: 5, messages: [{ role: 'user', content: '你好' }] };
    await (await post(recording.url, body)).text();
    await recording.end();
    const trace = await openTrace(recording.file, 'auto');
    for await (const entry of trace.entries()) {
      expect(entry).toMatchObject({
        kind: 'request',
        request: { prompt: { kind: 'body', body }, outputTokens: 5, answer: { sha256: expect.stringMatching(/^[\da-f]{64}$/) } },
      });
    }
  });
});
