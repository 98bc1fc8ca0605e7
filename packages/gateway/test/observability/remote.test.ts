import { describe, expect, it } from 'vitest';
import { sendJson, startFakeBackend, type Behaviour } from '../upstream/fake-backend.ts';
import { chat, chatBody, startGatewayWith } from '../upstream/support.ts';
import { linesOf, makeFolder, type Line } from './logs/support.ts';
import { scrape, type Scrape } from './scrape.ts';

/** What is told of one request to a server that behaves so. */
async function toldOf(behaviour: Behaviour, logs: object = {}): Promise<{ readonly line: Line | undefined; readonly metrics: Scrape }> {
  using folder = makeFolder();
  await using backend = await startFakeBackend(behaviour);
  const server = await startGatewayWith({
    engines: [{ kind: 'openai', url: backend.url, model: chatBody.model }],
    observability: { logs: { enabled: true, destination: folder.file('log'), ...logs } },
  });
  await (await server.post(chat, chatBody)).text();
  const metrics = await scrape(server.url);
  await server.gateway.drain();
  return { line: linesOf(folder.file('log')).find(({ msg }) => msg === 'request'), metrics };
}

describe('of another server', () => {
  it('that does not tell its usage, nothing is said of the prompt', async () => {
    const { line, metrics } = await toldOf((response) =>
      sendJson(response, 200, { choices: [{ index: 0, message: { content: 'Hi' }, finish_reason: 'stop' }] }),
    );
    expect(line).toMatchObject({ status: 200, completion_tokens: 1 });
    expect(line).not.toHaveProperty('prompt_tokens');
    expect(line).not.toHaveProperty('cached_tokens');
    expect([metrics.count('vllm:request_prompt_tokens'), metrics.count('vllm:request_generation_tokens')]).toEqual([0, 1]);
  });

  it('the words about its failure are in the log where contents may be, and nowhere else', async () => {
    const fails: Behaviour = (response) => sendJson(response, 500, { error: { message: 'no memory for "Hello"' } });
    expect((await toldOf(fails)).line).toMatchObject({ level: 'warn', code: 'upstream_error', error: { name: 'string' } });
    expect(JSON.stringify((await toldOf(fails)).line)).not.toContain('no memory');
    expect((await toldOf(fails, { capture_content: true })).line).toMatchObject({ error: { message: 'no memory for "Hello"' } });
  });
});
