import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../src/main.ts';
import { createGate, until } from '../support.ts';
import { fakeModel, sendJson, startFakeBackend, type Behaviour } from './fake-backend.ts';
import { startGatewayWith, startRemoteGateway, type RemoteGateway } from './support.ts';

const route = '/v1/completions';
const extra = { max_batch_size: 8, batch_timeout_us: 1_000_000, join_completions: true };

/** As vLLM completes a list of prompts: each with itself twice; one with an exclamation mark is refused. Tokens are characters. */
const completes: Behaviour = (response, { body }) => {
  const prompts = [body['prompt']].flat() as string[];
  const bad = prompts.find((prompt) => prompt.includes('!'));
  if (bad !== undefined) return sendJson(response, 400, { error: { message: `no: ${bad}`, param: 'prompt' } });
  const choices = prompts
    .map((prompt, index) => ({ index, text: prompt + prompt, logprobs: null, finish_reason: prompt.length > 2 ? 'length' : 'stop' }))
    .toReversed();
  const size = prompts.join('').length;
  sendJson(response, 200, {
    id: 'cmpl-1',
    object: 'text_completion',
    created: 1,
    model: body.model,
    system_fingerprint: 'fp',
    choices,
    usage: { prompt_tokens: size, completion_tokens: 2 * size, total_tokens: 3 * size },
  });
};

/** The first call waits for the gate, so that the others gather. */
async function startGated(behaviour = completes, router: object = {}) {
  const gate = createGate();
  let count = 0;
  const backend = await startFakeBackend(async (response, request) => {
    if ((count += 1) === 1) await gate.passed;
    return behaviour(response, request);
  });
  const gateway = await startRemoteGateway([backend.url], { extra, router });
  const first = ask(gateway, 'first');
  await until(() => backend.requests.length === 1);
  return {
    gate,
    backend,
    gateway,
    first,
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]();
      await backend[Symbol.asyncDispose]();
    },
  };
}

async function ask(gateway: RemoteGateway, prompt: unknown, more: object = {}, init: RequestInit = {}) {
  const response = await gateway.post(route, { model: fakeModel, prompt, max_tokens: 8, autoglm: { lane: 'batch' }, ...more }, init);
  return {
    status: response.status,
    ...((await response.json()) as {
      choices?: { text: string; finish_reason: string; index: number }[];
      usage?: { prompt_tokens: number; completion_tokens: number };
      error?: { message: string };
      system_fingerprint?: string;
    }),
  };
}

const running = async (gateway: RemoteGateway, count: number) =>
  until(async () =>
    new RegExp(`^autoglm_admission_running\\{model_name="${fakeModel}",lane="batch"\\} ${count}$`, 'mu').test(
      await (await fetch(`${gateway.url}/metrics`)).text(),
    ),
  );

describe('text completions of the batch lane', () => {
  it('are asked for together while the server works; each has its own choice and its part of the usage', async () => {
    await using servers = await startGated();
    const others = [ask(servers.gateway, 'a'), ask(servers.gateway, 'bb'), ask(servers.gateway, 'ccc')];
    await running(servers.gateway, 4);
    servers.gate.open();
    expect(await servers.first).toMatchObject({ status: 200, choices: [{ text: 'firstfirst' }] });
    const answers = await Promise.all(others);
    expect(answers.map(({ choices }) => choices?.map(({ text, finish_reason, index }) => [text, finish_reason, index]))).toEqual([
      [['aa', 'stop', 0]],
      [['bbbb', 'stop', 0]],
      [['cccccc', 'length', 0]],
    ]);
    expect(answers.map(({ usage }) => [usage?.prompt_tokens, usage?.completion_tokens])).toEqual([
      [1, 2],
      [2, 4],
      [3, 6],
    ]);
    expect(answers.every(({ system_fingerprint: fingerprint }) => fingerprint === 'fp')).toBe(true);
    expect(servers.backend.requests).toHaveLength(2);
    const { prompt, ...asked } = (servers.backend.requests[1] as { readonly body: Record<string, unknown> }).body;
    expect([[...(prompt as string[])].toSorted(), asked]).toEqual([['a', 'bb', 'ccc'], { model: fakeModel, max_tokens: 8 }]);
  });

  it('are not joined with those that ask for something else, with a stream, several answers or several prompts, nor with real time', async () => {
    await using servers = await startGated();
    const others = [
      ask(servers.gateway, 'a', { max_tokens: 9 }),
      ask(servers.gateway, ['b', 'c']),
      ask(servers.gateway, 'd', { n: 1, autoglm: { lane: 'realtime' } }),
      servers.gateway
        .post(route, { model: fakeModel, prompt: 'e', stream: true, autoglm: { lane: 'batch' } })
        .then((response) => response.text()),
    ];
    // What is not joined does not wait.
    await until(() => servers.backend.requests.length >= 4);
    servers.gate.open();
    await Promise.all([servers.first, ...others]);
    expect(servers.backend.requests).toHaveLength(5);
    expect(servers.backend.requests.map(({ body }) => body['prompt'])).toEqual(
      expect.arrayContaining(['first', 'a', ['b', 'c'], 'd', 'e']),
    );
  });

  it('fail each of its own prompt, and all where the server fails', async () => {
    await using servers = await startGated();
    const others = [ask(servers.gateway, 'a'), ask(servers.gateway, 'no!'), ask(servers.gateway, 'c')];
    await running(servers.gateway, 4);
    servers.gate.open();
    expect((await Promise.all(others)).map(({ status, choices, error }) => [status, choices?.[0]?.text ?? error?.message])).toEqual([
      [200, 'aa'],
      [400, 'no: no!'],
      [200, 'cc'],
    ]);
    servers.backend.behave((response) => sendJson(response, 200, { choices: [] }));
    expect(await ask(servers.gateway, 'a')).toMatchObject({ status: 502, error: { code: 'upstream_error' } });
  });

  it('are one failure where one call of them fails', async () => {
    await using servers = await startGated(completes, { health: { failures: 2, eject_ms: 60_000, eject_max_ms: 60_000 } });
    const others = [ask(servers.gateway, 'a'), ask(servers.gateway, 'b'), ask(servers.gateway, 'c')];
    await running(servers.gateway, 4);
    servers.backend.behave((response) => sendJson(response, 500, {}));
    servers.gate.open();
    expect((await Promise.all(others)).map(({ status }) => status)).toEqual([502, 502, 502]);
    servers.backend.behave(completes);
    expect(await ask(servers.gateway, 'd')).toMatchObject({ status: 200 });
  });

  const choice = { index: 0, text: 'x', finish_reason: 'stop' };
  it.each([
    ['a choice that is a number', { choices: [5] }, 502, { error: { code: 'upstream_error' } }],
    ['a choice that is a text', { choices: ['abc'] }, 502, { error: { code: 'upstream_error' } }],
    ['a text that is none', { choices: [{ ...choice, text: 5 }] }, 502, { error: { code: 'upstream_error' } }],
    ['an error with a good status', { error: { message: 'no', code: 400 } }, 400, { error: { message: 'no' } }],
    [
      'usage of its own',
      { choices: [choice], usage: { prompt_tokens: 9, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 7 } } },
      200,
      { usage: { prompt_tokens: 9, prompt_tokens_details: { cached_tokens: 7 } } },
    ],
    [
      'usage that makes no sense',
      { choices: [choice], usage: { prompt_tokens: -9, completion_tokens: '2' } },
      200,
      { choices: [{ text: 'x' }], usage: { prompt_tokens: 0, completion_tokens: 1 } },
    ],
  ])('are judged alone as those of real time are: %s', async (_, answer, status, told) => {
    await using backend = await startFakeBackend((response) => sendJson(response, 200, answer));
    await using gateway = await startRemoteGateway([backend.url], { extra });
    const [joined, plain] = await Promise.all([ask(gateway, 'a'), ask(gateway, 'a', { autoglm: { lane: 'realtime' } })]);
    expect([joined, plain]).toMatchObject([
      { status, ...told },
      { status, ...told },
    ]);
    expect((await fetch(`${gateway.url}/metrics`)).status).toBe(200);
  });

  it('are judged together as they are alone', async () => {
    await using servers = await startGated((response, { body }) => {
      const prompts = [body['prompt']].flat() as string[];
      sendJson(
        response,
        200,
        prompts.length > 1
          ? { error: { message: 'one at a time', code: 400 } }
          : { choices: [{ ...choice, text: prompts[0] }], usage: { prompt_tokens: '5' } },
      );
    });
    const others = [ask(servers.gateway, 'a'), ask(servers.gateway, 'b')];
    await running(servers.gateway, 3);
    servers.gate.open();
    expect((await Promise.all(others)).map(({ status, choices }) => [status, choices?.[0]?.text])).toEqual([
      [200, 'a'],
      [200, 'b'],
    ]);
    await servers.first;
  });

  it('let go of one whose client leaves, and go on for the others', async () => {
    await using servers = await startGated();
    const leaving = new AbortController();
    const left = ask(servers.gateway, 'a', {}, { signal: leaving.signal }).catch(() => 'left');
    const stays = [ask(servers.gateway, 'b'), ask(servers.gateway, 'c')];
    await running(servers.gateway, 4);
    leaving.abort();
    expect(await left).toBe('left');
    await running(servers.gateway, 3);
    servers.gate.open();
    expect((await Promise.all(stays)).map(({ choices }) => choices?.[0]?.text)).toEqual(['bb', 'cc']);
    expect(servers.backend.requests.flatMap(({ body }) => body['prompt'])).not.toContain('a');
  });

  it('are not joined unless the configuration says so, and not without a size', async () => {
    await expect(
      startGatewayWith({ engines: [{ kind: 'openai', url: 'http://127.0.0.1:1/v1', model: 'm', join_completions: true }] }),
    ).rejects.toThrow(ConfigError);
    await expect(
      startGatewayWith({ engines: [{ kind: 'openai', url: 'http://127.0.0.1:1/v1', model: 'm', join_completions: true }] }),
    ).rejects.toThrow('join_completions');
  });
});
