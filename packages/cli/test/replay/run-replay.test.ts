import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { runReplay, type ReplayProgress, type ReplayRequest } from '../../src/replay/run-replay.ts';
import { answerInFull, event, startScriptedServer, streamHead, textChunk } from './scripted-server.ts';
import { azureTrace, withFile } from './trace-file.ts';

const common: Omit<ReplayRequest, 'tracePath' | 'targets'> = {
  format: 'auto',
  rate: { kind: 'speed', factor: 1 },
  timeoutMs: 60_000,
  inFlightMax: 100,
  promptScale: 1,
  outputScale: 1,
  seed: 7,
};
const quiet = { begins() {}, progresses() {} };

async function replayText(
  text: string,
  urls: readonly string[],
  {
    observer = quiet,
    signal = new AbortController().signal,
    body = {},
    ...options
  }: Partial<ReplayRequest> & { readonly observer?: typeof quiet; readonly signal?: AbortSignal; readonly body?: object } = {},
) {
  await using file = await withFile(text);
  return await runReplay(
    { ...common, tracePath: file.path, targets: urls.map((url) => ({ url, body: body as Record<string, unknown> })), ...options },
    observer,
    signal,
  );
}

describe('a replay', () => {
  it('sends prompts and lengths as the trace has them, sized by what the server counts', async () => {
    await using server = await startScriptedServer();
    const result = await replayText(azureTrace([0, 0.01, 0.02], { prompt: 407, output: 5 }), [server.url], {
      apiKey: 'secret',
      outputScale: 2,
      body: { temperature: 0 },
    });
    expect(result).toMatchObject({
      end: 'completed',
      // It says 21 of each.
      warnings: [`${server.url} counted 63 tokens of prompts, where the trace asks for 1,221.`],
      targets: [{ name: server.url, url: server.url, model: 'scripted', body: { temperature: 0 } }],
      trace: { format: 'azure', requestCount: 3, brokenLineCount: 0 },
      options: { speed: 1, seed: 7, calibration: [{ tokensPerWord: 2, overheadTokens: 7, isMeasured: true }] },
    });
    expect(result.outcomes.map(({ outcome, promptTokensWanted }) => [outcome, promptTokensWanted])).toEqual(
      [0, 1, 2].map(() => ['answered', 407]),
    );
    expect(result.generator.latenessMs).not.toBeNull();
    expect(
      server.received.map(({ url, headers, body }) => [url, headers.authorization, body.messages?.[0]?.content.trim().split(' ').length]),
    ).toEqual([0, 1, 2].map(() => ['/v1/chat/completions', 'Bearer secret', 200]));
    expect(server.received[0]?.body).toMatchObject({
      model: 'scripted',
      max_tokens: 10,
      temperature: 0,
      stream: true,
      stream_options: { include_usage: true },
    });
    expect(new Set(server.received.map(({ body }) => body.messages?.[0]?.content)).size).toBe(3);
  });

  it('tells of no more requests than there are, ended and in flight together', async () => {
    const allSent = Promise.withResolvers<void>();
    await using server = await startScriptedServer({ behave: (...args) => void allSent.promise.then(() => answerInFull(...args)) });
    await using file = await withFile(azureTrace([0, 0, 0, 0]));
    const seen: ReplayProgress[] = [];
    const progresses = (progress: ReplayProgress) => {
      seen.push(progress);
      if (progress.inFlight === 4) allSent.resolve();
    };
    await runReplay(
      { ...common, tracePath: file.path, targets: [{ url: server.url, body: {} }] },
      { ...quiet, progresses },
      new AbortController().signal,
    );
    expect(seen.at(-1)?.endedCount).toBe(4);
    expect(seen.filter(({ endedCount, inFlight }) => endedCount + inFlight > 4)).toEqual([]);
  });

  it('tells its time zero on the clock that other processes of the machine read', async () => {
    const nowMs = () => Number(process.hrtime.bigint()) / 1e6;
    const receivedAt: number[] = [];
    await using server = await startScriptedServer({
      behave(...args) {
        receivedAt.push(nowMs());
        answerInFull(...args);
      },
    });
    const beforeMs = nowMs();
    const { generator, outcomes } = await replayText(azureTrace([0, 0.01]), [server.url]);
    const [first, second] = outcomes
      .toSorted((a, b) => a.index - b.index)
      .map(({ sentAtMs = 0, endedAtMs }) => [sentAtMs, endedAtMs].map((atMs) => generator.originMs + atMs));
    const inOrder = (...times: readonly (number | undefined)[]) => expect(times.toSorted((a, b) => Number(a) - Number(b))).toEqual(times);
    inOrder(beforeMs, generator.originMs, first?.[0], receivedAt[0], first?.[1], nowMs());
    inOrder(second?.[0], receivedAt[1], second?.[1], nowMs());
  });

  it('sends what was recorded as it was, and checks its answer', async () => {
    await using server = await startScriptedServer();
    const body = { model: 'theirs', messages: [{ role: 'user', content: '首都？' }], temperature: 0.5 };
    const line = { autoglm_trace: 1, at_ms: 0, path: '/v1/chat/completions', body, answer: { equals: '北京是首都' } };
    const result = await replayText(`${JSON.stringify(line)}\nbroken\n`, [server.url]);
    expect(server.received[0]?.body).toEqual({ ...body, model: 'scripted', stream: true, stream_options: { include_usage: true } });
    expect(result.outcomes).toMatchObject([{ outcome: 'answered', answerCorrect: true }]);
    expect(result.options.calibration).toBeUndefined();
    expect(result.trace).toMatchObject({ brokenLineCount: 1, brokenLines: [{ line: 2, reason: 'not JSON' }] });
  });

  it('shortens recorded answers where that is asked for, and says what it leaves as it was', async () => {
    const lineOf = (seed: number, limits: object, rest: object = {}) =>
      JSON.stringify({ autoglm_trace: 1, at_ms: 0, path: '/v1/chat/completions', body: { messages: [], seed, ...limits }, ...rest });
    const lines = [
      lineOf(0, {}),
      lineOf(1, { max_completion_tokens: 9 }),
      lineOf(2, { max_tokens: 2, max_completion_tokens: 2 }),
      lineOf(3, { max_tokens: 9 }, { output_tokens: 4, answer: { equals: '北京' } }),
    ].join('\n');
    const replayLimits = async (options: Parameters<typeof replayText>[2]) => {
      await using server = await startScriptedServer();
      const result = await replayText(lines, [server.url], options);
      return {
        result,
        sent: server.received
          .toSorted((x, y) => Number(x.body['seed']) - Number(y.body['seed']))
          .map(({ body }) => [body.max_tokens, body['max_completion_tokens']]),
      };
    };
    const { result, sent } = await replayLimits({ outputTokensMax: 3, promptScale: 2, outputScale: 2 });
    expect(sent).toEqual([
      [3, undefined],
      [undefined, 3],
      [2, 2],
      [3, undefined],
    ]);
    expect(result.warnings).toEqual([
      'Requests that the trace holds with their contents were sent as they are, whatever --prompt-scale and --output-scale say.',
    ]);
    // An answer that was cut short cannot be the recorded one.
    const ofChecked = ({ outcomes }: typeof result) => outcomes.find(({ index }) => index === 3);
    expect(ofChecked(result)).not.toHaveProperty('answerCorrect');
    expect(ofChecked((await replayLimits({ body: { max_tokens: 3 } })).result)).not.toHaveProperty('answerCorrect');
    expect(ofChecked((await replayLimits({ body: { max_tokens: 5 } })).result)).toHaveProperty('answerCorrect');
    expect(await replayLimits({ body: { max_tokens: 5 } })).toMatchObject({
      result: { warnings: [] },
      sent: [
        [5, undefined],
        [5, undefined],
        [5, undefined],
        [5, undefined],
      ],
    });
  });

  it("says an answer's length under one name alone", async () => {
    const asked: unknown[] = [];
    await using server = await startScriptedServer({ probe: (response, { body }) => (asked.push(body), response.writeHead(404).end()) });
    await replayText(azureTrace([0]), [server.url], { body: { max_completion_tokens: 5 } });
    expect([server.received[0]?.body, asked.at(-1)]).toEqual([
      expect.objectContaining({ max_completion_tokens: 5 }),
      expect.objectContaining({ max_tokens: 1 }),
    ]);
    expect(server.received[0]?.body).not.toHaveProperty('max_tokens');
    expect(asked.at(-1)).not.toHaveProperty('max_completion_tokens');
  });

  it('with two servers gives each every request, slice by slice', async () => {
    await using a = await startScriptedServer();
    await using b = await startScriptedServer({
      behave: (response, request, count) => (count % 2 === 0 ? response.socket?.resetAndDestroy() : answerInFull(response, request, count)),
    });
    const result = await replayText(azureTrace([0, 0.001, 0.02, 0.021]), [a.url, b.url], { blockMs: 10 });
    expect([a.received.length, b.received.length]).toEqual([4, 4]);
    expect(
      result.outcomes
        .toSorted((x, y) => x.index - y.index || x.target - y.target)
        .map(({ index, target, slice, outcome }) => [index, target, slice, outcome]),
    ).toEqual([
      [0, 0, 0, 'answered'],
      [0, 1, 0, 'answered'],
      [1, 0, 0, 'answered'],
      [1, 1, 0, 'failed'],
      [2, 0, 1, 'answered'],
      [2, 1, 1, 'answered'],
      [3, 0, 1, 'answered'],
      [3, 1, 1, 'failed'],
    ]);
    expect(a.received.map(({ body }) => body.messages)).toEqual(b.received.map(({ body }) => body.messages));
  });

  it('gives two configurations of one server different words', async () => {
    await using server = await startScriptedServer();
    const result = await replayText(azureTrace([0]), [server.url, server.url]);
    expect(result.targets.map(({ name }) => name)).toEqual([`${server.url} (A)`, `${server.url} (B)`]);
    expect(new Set(server.received.map(({ body }) => body.messages?.[0]?.content)).size).toBe(2);
  });

  it('reports what there is when it is interrupted', async () => {
    await using server = await startScriptedServer({ behave: (response) => (streamHead(response), response.write(textChunk('a'))) });
    const interrupt = new AbortController();
    const running = replayText(azureTrace([0, 0, 100]), [server.url], { signal: interrupt.signal });
    await server.hasReceived(2);
    interrupt.abort(new Error('interrupted'));
    const result = await running;
    expect(result.end).toBe('interrupted');
    expect(result.outcomes).toMatchObject([0, 1].map(() => ({ outcome: 'abandoned', error: 'interrupted' })));
  });

  it('waits no more for a stream that has told an error, though it stays open', async () => {
    await using server = await startScriptedServer({
      behave: (response) => (streamHead(response), response.write(event({ error: { message: 'out of memory' } }))),
    });
    const result = await replayText(azureTrace([0, 0.01]), [server.url]);
    expect(result.end).toBe('completed');
    expect(result.outcomes).toMatchObject([0, 1].map(() => ({ outcome: 'cut', error: 'error event: out of memory' })));
  });

  it('takes its measure by itself where the server does not count, and says so', async () => {
    await using server = await startScriptedServer({ probe: (response) => response.writeHead(404).end() });
    const result = await replayText(azureTrace([0], { prompt: 108 }), [server.url]);
    expect(result.warnings.slice(0, 2)).toEqual([
      `${server.url}/v1/models: HTTP 404; the model is taken to be default. Name it with --model.`,
      `${server.url} counted no tokens (HTTP 404): a word of a synthesised prompt is taken for a token.`,
    ]);
    expect(server.received[0]?.body.messages?.[0]?.content.trim().split(' ')).toHaveLength(100);
  });

  it('ends with a server that never answers', async () => {
    const silent = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const result = await replayText(azureTrace([0, 3600]), [`http://127.0.0.1:${(silent.address() as AddressInfo).port}`], {
      timeoutMs: 100,
    });
    silent.close();
    expect(result.end).toBe('silent');
    expect(result.outcomes).toMatchObject([{ index: 0 }]);
    expect(result.warnings).toHaveLength(2);
  });

  it('does not begin where its key is refused, and says where the key comes from', async () => {
    await using server = await startScriptedServer({
      probe: (response) => response.writeHead(401).end(JSON.stringify({ error: { message: 'no such key' } })),
    });
    await expect(replayText(azureTrace([0]), [server.url])).rejects.toThrow(
      /refuses the key, or wants one \(HTTP 401: no such key\)\. Put it into AUTOGLM_API_KEY/,
    );
    expect(server.received).toEqual([]);
  });

  it('does not begin where nobody listens, nor without requests', async () => {
    await expect(replayText(azureTrace([0]), ['http://127.0.0.1:1'])).rejects.toThrow(
      'No server answers at http://127.0.0.1:1: connection refused.',
    );
    await expect(replayText('', ['http://127.0.0.1:1'])).rejects.toThrow('is empty');
  });
});
