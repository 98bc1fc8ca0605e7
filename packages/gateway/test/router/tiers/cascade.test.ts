import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createMockEngine, defaultConfig, loadConfig, startGateway } from '../../../src/main.ts';
import { policyFormat, policyVersion, type GainModel, type LinearModel } from '../../../src/router/tiers/policy/index.ts';
import { startBackendProcess } from '../../upstream/backend-process.ts';
import { stopClock } from '../../stopped-clock.ts';
import { scrape } from '../../observability/scrape.ts';
import { holdUp } from '../../support.ts';
import { hang, say, sendJson, startFakeBackend, type Behaviour, type FakeBackend } from '../../upstream/fake-backend.ts';
import { startGatewayWith, until } from '../../upstream/support.ts';
import { askAuto, cloudModel, edgeModel, outcomesOf, sayWith, startTiers, type Answered } from './support.ts';

const large = ['The', ' answer', ' is', ' 42.'];
const small = ['It', ' is', ' 41.'];

let edge: FakeBackend;
let cloud: FakeBackend;
beforeEach(async () => {
  edge = await startFakeBackend(sayWith(small));
  cloud = await startFakeBackend(sayWith(large));
});
afterEach(async () => {
  await edge[Symbol.asyncDispose]();
  await cloud[Symbol.asyncDispose]();
});
/** The answer's times, and what each tier of it took, in milliseconds. */
function timingsOf({ raw }: Answered) {
  const last = (raw as readonly unknown[]).at(-1) as {
    readonly autoglm: { timings: { upstream_ms: number; total_ms: number }; cascade: { tried: readonly { ms: number }[] } };
  };
  const { timings, cascade } = last.autoglm;
  return { ...timings, tried: cascade.tried.map(({ ms }) => ms) };
}

const start = (tiers: object = {}, more: object = {}) => startTiers({ edgeUrl: edge.url, cloudUrl: cloud.url, tiers, more });

it('is among the models that a wrong name is told of', async () => {
  await using server = await start();
  const response = await server.post('/v1/chat/completions', { model: 'gpt-4', messages: [{ role: 'user', content: 'Hi' }] });
  expect([response.status, await response.json()]).toMatchObject([
    404,
    { error: { message: expect.stringMatching(/Known models: .*\bauto\b/) as string } },
  ]);
});

describe.each([false, true])('the cascade, streamed: %s', (stream) => {
  it('gives the small answer where it is sure', async () => {
    await using server = await start();
    const answer = await askAuto(server, { stream });
    expect(answer).toMatchObject({ tier: 'edge', text: 'It is 41.', degraded: false });
    expect(outcomesOf(answer)).toEqual(['edge answered']);
    expect(answer.cascade.scores?.['logprob']).toBeCloseTo(0.9);
    expect(cloud.requests).toHaveLength(0);
    expect(JSON.stringify(answer.raw)).not.toContain('"logprobs":{');
  });

  it('asks the large one where it is not, and tells what that took', async () => {
    edge.behave(sayWith(small, 0.2));
    await using server = await start();
    const answer = await askAuto(server, { stream });
    expect(answer).toMatchObject({ tier: 'cloud', text: 'The answer is 42.', degraded: false });
    expect(outcomesOf(answer)).toEqual(['edge low_confidence', 'cloud answered']);
    expect(answer.cascade.tried[0]).toMatchObject({
      completion_tokens: 3,
      scores: { shape: 1, logprob: expect.closeTo(0.2) as number },
      reason: expect.stringContaining('its logprob is 0.20, less than 0.5') as string,
    });
    expect(answer.cascade.tried[0]?.['ms']).toBeGreaterThanOrEqual(0);
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    expect(metrics).toContain('autoglm_tier_passed_total{tier="edge",reason="low_confidence"} 1');
    expect(metrics).toContain('vllm:prompt_tokens_total{model_name="small"} 5\n');
    expect(metrics).toContain('vllm:generation_tokens_total{model_name="small"} 3\n');
  });

  it("tells in its headers what is left of this gateway's limits, whatever the servers of its tiers say of theirs, and counts a tier that was passed over", async () => {
    using _clock = stopClock();
    const limited =
      (behaviour: Behaviour): Behaviour =>
      (response, request) => {
        for (const name of ['x-ratelimit-limit-tokens', 'x-ratelimit-remaining-tokens', 'retry-after']) response.setHeader(name, '1');
        behaviour(response, request);
      };
    edge.behave(limited(sayWith(small, 0.2)));
    cloud.behave(limited(sayWith(large)));
    await using server = await start({}, { limits: { key: { tokens_per_minute: 100_000 } } });
    const left = async () => {
      const response = await server.post('/v1/chat/completions', {
        model: 'auto',
        messages: [{ role: 'user', content: 'How many?' }],
        stream,
        max_tokens: 100,
      });
      expect([
        response.status,
        response.headers.get('x-autoglm-tier'),
        response.headers.get('x-ratelimit-limit-tokens'),
        response.headers.get('retry-after'),
      ]).toEqual([200, 'cloud', '100000', null]);
      await response.text();
      return Number(response.headers.get('x-ratelimit-remaining-tokens'));
    };
    const [first, second] = [await left(), await left()];
    // Five of the prompt at each tier, three of the small answer and four of the large one.
    expect(first - second).toBe(5 + 3 + 5 + 4);
  });

  it('counts against limits for a client that leaves before anybody has answered what it would for one of a single model', async () => {
    using _clock = stopClock();
    await using server = await start({}, { limits: { key: { tokens_per_minute: 100_000 } } });
    const body = { messages: [{ role: 'user', content: 'How many?' }], stream, max_tokens: 100 };
    const left = async () => {
      edge.behave(sayWith(small));
      const response = await server.post('/v1/chat/completions', { ...body, model: edgeModel });
      await response.text();
      return Number(response.headers.get('x-ratelimit-remaining-tokens'));
    };
    const costOfLeaving = async (model: string) => {
      const before = await left();
      edge.behave(hang);
      const abort = new AbortController();
      const asked = server.post('/v1/chat/completions', { ...body, model }, { signal: abort.signal }).catch(() => {});
      await until(() => edge.openCount === 1);
      abort.abort();
      await asked;
      await until(async () => (await scrape(server.url)).value('autoglm_active_requests') === 0);
      return before - (await left());
    };
    expect(await costOfLeaving('auto')).toBe(await costOfLeaving(edgeModel));
  });

  it.each([
    ['says nothing', sayWith([])],
    ['refuses', sayWith(["I'm sorry", ', but I cannot do that.'])],
    ['gets its sums wrong', sayWith(['3 + 4 = 8'])],
    ['fails', (response) => sendJson(response, 500, {})],
    ['has too small a context', (response) => sendJson(response, 400, { error: { message: 'too long', code: 'context_length_exceeded' } })],
    [
      'breaks off',
      (response) =>
        void response
          .writeHead(200, { 'content-type': 'text/event-stream' })
          .end('data: {"choices":[{"index":0,"delta":{"content":"It"}}]}\n\n'),
    ],
  ] as readonly (readonly [string, Parameters<FakeBackend['behave']>[0]])[])(
    'asks the large one where the small one %s',
    async (_, behaviour) => {
      edge.behave(behaviour);
      await using server = await start();
      expect(await askAuto(server, { stream })).toMatchObject({ tier: 'cloud', text: 'The answer is 42.', degraded: false });
    },
  );

  it('gives the doubtful answer where the large one fails, and says so', async () => {
    edge.behave(sayWith(small, 0.2));
    cloud.behave((response) => sendJson(response, 500, {}));
    await using server = await start();
    const answer = await askAuto(server, { stream });
    expect(answer).toMatchObject({ tier: 'edge', text: 'It is 41.', degraded: true });
    expect(outcomesOf(answer)).toEqual(['edge answered', 'cloud failed']);
    expect(answer.cascade.reason).toContain('cloud failed');
  });

  it('gives the large answer where the small tier is gone', async () => {
    await using server = await start();
    await edge[Symbol.asyncDispose]();
    expect(await askAuto(server, { stream })).toMatchObject({ tier: 'cloud', degraded: false });
    edge = await startFakeBackend();
  });
});

describe('the cascade', () => {
  it('passes a request for a model by its own name as it is', async () => {
    await using server = await start();
    const response = await server.post('/v1/chat/completions', { model: cloudModel, messages: [{ role: 'user', content: 'Hi' }] });
    expect(((await response.json()) as { autoglm: object }).autoglm).not.toHaveProperty('cascade');
    expect(edge.requests).toHaveLength(0);
  });

  it('is listed as a model, with the engines of all tiers', async () => {
    await using server = await start();
    await until(async () => (await server.get('/readyz')).status === 200);
    const { data } = (await server.get('/v1/models')).body as { data: { id: string; autoglm: { engines: { tier: string }[] } }[] };
    expect(data.find(({ id }) => id === 'auto')?.autoglm.engines.map(({ tier }) => tier)).toEqual(['edge', 'cloud']);
    expect((await server.get('/v1/models/auto')).status).toBe(200);
  });

  it('keeps the probabilities that the client asked for', async () => {
    await using server = await start();
    const { raw } = await askAuto(server, { logprobs: true });
    expect((raw as { choices: { logprobs: { content: object[] } }[] }).choices[0]?.logprobs.content).toHaveLength(3);
  });

  it('does without probabilities where the server refuses to tell them, and does not ask again', async () => {
    edge.behave((response, request) =>
      request.body['logprobs']
        ? sendJson(response, 400, { error: { message: 'logprobs are not supported', param: 'logprobs' } })
        : sayWith(small)(response, request),
    );
    await using server = await start();
    for (let round = 0; round < 2; round += 1) expect(await askAuto(server)).toMatchObject({ tier: 'edge', text: 'It is 41.' });
    expect(edge.requests.map(({ body }) => body['logprobs'])).toEqual([true, undefined, undefined]);
  });

  it('gives a mistake of the client to the client', async () => {
    edge.behave((response) => sendJson(response, 400, { error: { message: 'bad seed', param: 'seed' } }));
    await using server = await start({ scores_min: { logprob: 0 } });
    expect(await askAuto(server)).toMatchObject({ status: 400, raw: { error: { param: 'seed' } } });
    expect(cloud.requests).toHaveLength(0);
  });

  it('asks for JSON again where the small answer is none, or has not the form', async () => {
    const schema = { type: 'object', required: ['city'], properties: { city: { type: 'string' } }, additionalProperties: false };
    const format = { type: 'json_schema', json_schema: { name: 'place', schema } };
    cloud.behave(sayWith(['{"city":"北京"}']));
    await using server = await start();
    for (const text of ['Beijing', '{"city":7}', '{"town":"北京"}', '{}']) {
      edge.behave(sayWith([text]));
      expect(await askAuto(server, { response_format: format })).toMatchObject({ tier: 'cloud' });
    }
    edge.behave(sayWith(['{"city":"上海"}']));
    expect(await askAuto(server, { response_format: format })).toMatchObject({ tier: 'edge' });
  });

  it('asks the model itself, where that is wanted', async () => {
    const check = (word: string) =>
      edge.behave((response, request) => sayWith(JSON.stringify(request.body).includes('yes or no') ? [word] : small)(response, request));
    await using server = await start({ scores_min: { self_check: 0.5 } });
    check('No');
    expect(await askAuto(server)).toMatchObject({ tier: 'cloud' });
    check('Yes');
    const sure = await askAuto(server);
    expect(sure).toMatchObject({ tier: 'edge', text: 'It is 41.', cascade: { scores: { self_check: 1 } } });
    expect(edge.requests.at(-1)?.body).toMatchObject({ max_tokens: 4, temperature: 0 });
    check('Perhaps');
    expect(await askAuto(server)).toMatchObject({ tier: 'edge' });
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    // Three checks, and the answer that was passed over.
    expect(metrics).toContain('vllm:prompt_tokens_total{model_name="small"} 20\n');
    expect(metrics).toContain('vllm:generation_tokens_total{model_name="small"} 6\n');
  });

  it("waits for the model's own opinion no longer than its tier may take, and goes by the other scores then", async () => {
    edge.behave((response, request) =>
      JSON.stringify(request.body).includes('yes or no') ? hang(response, request) : sayWith(small)(response, request),
    );
    await using server = await start({
      scores_min: { self_check: 0.5 },
      levels: [
        { tier: 'edge', model: edgeModel, first_token_ms: 60_000, answer_ms: 2000 },
        { tier: 'cloud', model: cloudModel, first_token_ms: 60_000 },
      ],
    });
    const answer = await askAuto(server);
    expect(answer).toMatchObject({ tier: 'edge', text: 'It is 41.' });
    expect(answer.cascade.scores).not.toHaveProperty('self_check');
    await until(() => edge.openCount === 0);
  });

  it('asks the next tier when the first token is late, and leaves the late one when that answers', async () => {
    edge.behave(hang);
    await using server = await start({
      levels: [
        { tier: 'edge', model: edgeModel, first_token_ms: 5 },
        { tier: 'cloud', model: cloudModel, first_token_ms: 60_000 },
      ],
    });
    const answer = await askAuto(server, { stream: true });
    expect(outcomesOf(answer)).toEqual(['edge over_budget', 'cloud answered']);
    expect(answer).toMatchObject({ tier: 'cloud', degraded: false });
    await until(() => edge.openCount === 0);
  });

  it('takes the late answer after all when everybody is late, and says so', async () => {
    const gate = Promise.withResolvers<void>();
    edge.behave(async (response, request) => {
      await gate.promise;
      await sayWith(small)(response, request);
    });
    cloud.behave(hang);
    await using server = await start({
      levels: [
        { tier: 'edge', model: edgeModel, first_token_ms: 5 },
        { tier: 'cloud', model: cloudModel, first_token_ms: 5 },
      ],
    });
    const asked = askAuto(server);
    await until(() => cloud.openCount === 1);
    gate.resolve();
    const answer = await asked;
    expect(answer).toMatchObject({ tier: 'edge', text: 'It is 41.', degraded: true });
    expect(answer.cascade.reason).toContain('cloud over_budget');
    await until(() => cloud.openCount === 0);
  });

  it('counts what was waited for a late tier as that, and each moment once', async () => {
    const levels = [
      { tier: 'edge', model: edgeModel, first_token_ms: 5 },
      { tier: 'cloud', model: cloudModel, first_token_ms: 60_000 },
    ];
    await using server = await start({ levels });
    edge.behave(() => holdUp(50));
    const waited = timingsOf(await askAuto(server, { stream: true }));
    expect(waited.upstream_ms).toBeGreaterThanOrEqual(waited.tried[0]! - 0.5);
    const gate = Promise.withResolvers<void>();
    edge.behave(async (response, request) => {
      await gate.promise;
      await sayWith(small)(response, request);
    });
    cloud.behave((response) => {
      holdUp(50);
      response.once('finish', gate.resolve);
      sendJson(response, 500, {});
    });
    const { tried: _, total_ms: totalMs, ...parts } = timingsOf(await askAuto(server, { stream: true }));
    expect(Object.values(parts).reduce((sum, ms) => sum + ms, 0)).toBeCloseTo(totalMs, 1);
  });

  it('lets go of every tier when the client leaves', async () => {
    edge.behave(hang);
    cloud.behave(hang);
    await using server = await start({
      levels: [
        { tier: 'edge', model: edgeModel, first_token_ms: 5 },
        { tier: 'cloud', model: cloudModel, first_token_ms: 60_000 },
      ],
    });
    const abort = new AbortController();
    const asked = server
      .post('/v1/chat/completions', { model: 'auto', messages: [{ role: 'user', content: 'Hi' }], stream: true }, { signal: abort.signal })
      .catch(() => {});
    await until(() => cloud.openCount === 1 && edge.openCount === 1);
    abort.abort();
    await asked;
    await until(() => cloud.openCount === 0 && edge.openCount === 0);
  });

  it('lets an answer out that is longer than what is held', async () => {
    edge.behave(
      sayWith(
        Array.from({ length: 200 }, () => 'word '),
        0.2,
      ),
    );
    await using server = await start({ held_characters_max: 1024 });
    const answer = await askAuto(server, { stream: true });
    expect(answer.tier).toBe('edge');
    expect(answer.text).toHaveLength(1000);
  });

  it('fails as the highest tier does when nobody is there', async () => {
    edge.behave((response) => sendJson(response, 500, {}));
    cloud.behave((response) => sendJson(response, 429, { error: { message: 'slow down' } }, { 'retry-after': '3' }));
    await using server = await start();
    expect(await askAuto(server)).toMatchObject({ status: 429, raw: { error: { code: 'rate_limit_exceeded' } } });
  });

  it('joins a model that runs here with one that does not', async () => {
    const config = loadConfig({
      env: {},
      overrides: {
        engines: [{ kind: 'embedded' }, { kind: 'openai', name: 'far', url: cloud.url, model: cloudModel, upstream_model: 'fake-model' }],
      },
    });
    const engine = createMockEngine();
    const gateway = await startGateway({
      config: {
        ...config,
        server: { ...config.server, port: 0 },
        tiers: { ...defaultConfig.tiers, enabled: true, scores_min: { ...defaultConfig.tiers.scores_min, logprob: 0.9 } },
      },
      engine,
    });
    try {
      const ask = async (content: unknown) => {
        const response = await fetch(`${gateway.url}/v1/chat/completions`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ model: 'auto', messages: [{ role: 'user', content }] }),
        });
        return {
          tier: response.headers.get('x-autoglm-tier'),
          body: (await response.json()) as { model: string; usage: { completion_tokens: number } },
        };
      };
      // The mock's tokens have the probability e^-0.5.
      const answer = await ask('Hi');
      expect(answer).toMatchObject({ tier: 'cloud', body: { model: 'auto', usage: { completion_tokens: 4 } } });
      expect(engine.requests[0]?.topLogprobs).toBe(0);
      const seen = await ask([
        { type: 'text', text: 'What is this?' },
        { type: 'image_url', image_url: { url: 'data:image/png;base64,iVBORw0KGgo=' } },
      ]);
      expect(seen).toMatchObject({
        tier: 'cloud',
        body: {
          autoglm: {
            cascade: {
              tried: [
                { tier: 'edge', outcome: 'unsuitable' },
                { tier: 'cloud', outcome: 'answered' },
              ],
            },
          },
        },
      });
      expect(cloud.requests.at(-1)?.body['messages']).toMatchObject([{ content: [{ type: 'text' }, { type: 'image_url' }] }]);
      expect(engine.requests).toHaveLength(1);
      await until(() => engine.runningCount === 0);
    } finally {
      await gateway.drain();
    }
  });
});

describe('with the network gone', () => {
  it('the edge goes on alone and says so; when it is back, the cloud answers again', async () => {
    edge.behave(sayWith(small, 0.2));
    await using far = await startBackendProcess();
    await using server = await startTiers({ edgeUrl: edge.url, cloudUrl: far.url });
    expect(await askAuto(server)).toMatchObject({ tier: 'cloud', text: 'Hello, world!' });
    far.kill('SIGKILL');
    const first = await askAuto(server);
    expect(first).toMatchObject({ tier: 'edge', text: 'It is 41.', degraded: true });
    await until(async () =>
      ((await server.get('/readyz')).body['engines'] as { name: string; status: string }[]).some(
        ({ name, status }) => name === 'far' && status === 'unreachable',
      ),
    );
    for (const stream of [false, true]) {
      const answer = await askAuto(server, { stream });
      expect(answer).toMatchObject({ status: 200, tier: 'edge', text: 'It is 41.', degraded: true });
      expect(answer.cascade.reason).toBe('no tier above it can be reached: cloud');
    }
    await using back = await startFakeBackend(say(['Back']), Number(new URL(far.url).port));
    await until(async () => (await askAuto(server)).tier === 'cloud');
    expect(back.requests.length).toBeGreaterThan(0);
  });

  it('does not wait for a cloud that is frozen any longer than its budget', async () => {
    edge.behave(sayWith(small, 0.2));
    await using far = await startBackendProcess();
    await using server = await startTiers({
      edgeUrl: edge.url,
      cloudUrl: far.url,
      tiers: {
        levels: [
          { tier: 'edge', model: edgeModel, first_token_ms: 60_000, answer_ms: 60_000 },
          { tier: 'cloud', model: cloudModel, first_token_ms: 20 },
        ],
      },
    });
    far.kill('SIGSTOP');
    expect(await askAuto(server)).toMatchObject({ tier: 'edge', text: 'It is 41.', degraded: true });
  });
});

describe('a cascade that decides by the prompt', () => {
  const flat: LinearModel = { intercept: 0, numbers: {}, words: [] };
  const byLength: LinearModel = { intercept: 0, numbers: { characters: { mean: 5, deviation: 0.5, weight: -2 } }, words: [] };
  const gain: GainModel = { cheap: byLength, strong: flat, gains: Array.from({ length: 101 }, (_, percent) => 0.5 - percent / 100) };
  const policy = {
    format: policyFormat,
    version: policyVersion,
    learned: { questions: 100, cheap_right: 0.5, strong_right: 0.9, at_half: {} },
    prompt: gain,
  };
  const long = 'How many are left? '.repeat(30);
  let folder: string;
  let file: string;
  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'autoglm-cascade-'));
    file = path.join(folder, 'policy.json');
    writeFileSync(file, JSON.stringify(policy));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('sends long questions to the large model at once', async () => {
    await using server = await start({ decide: 'prompt', policy_file: file });
    const hard = await askAuto(server, { content: long, stream: true });
    expect(outcomesOf(hard)).toEqual(['edge too_hard', 'cloud answered']);
    expect(edge.requests).toHaveLength(0);
    expect(await askAuto(server, { content: 'Hi', stream: true })).toMatchObject({ tier: 'edge' });
    expect(edge.requests[0]?.body['logprobs']).toBeUndefined();
  });

  it('asks the small one where the large one is gone', async () => {
    await using server = await start({ decide: 'prompt', policy_file: file });
    cloud.behave((response) => sendJson(response, 503, {}));
    const answer = await askAuto(server, { content: long });
    expect(answer).toMatchObject({ tier: 'edge', degraded: true });
    expect(outcomesOf(answer)).toEqual(['edge too_hard', 'cloud failed', 'edge answered']);
  });

  it('needs a policy, and one that it can use', async () => {
    await expect(start({ decide: 'prompt' })).rejects.toThrow('tiers.decide is prompt, which needs a policy_file');
    await expect(start({ policy_file: file })).rejects.toThrow('was learned without answers');
    await expect(start({ policy_file: 'nowhere.json' })).rejects.toThrow('tiers.policy_file: the policy nowhere.json cannot be read');
  });

  it('judges answers by a policy that was learned from answers', async () => {
    const answers = path.join(folder, 'answers.json');
    const wrong: LinearModel = { intercept: 2, numbers: { hedges: { mean: 0, deviation: 0.5, weight: -4 } }, words: [] };
    writeFileSync(answers, JSON.stringify({ ...policy, answer: { ...gain, cheap: wrong } }));
    await using server = await start({ policy_file: answers });
    expect(await askAuto(server)).toMatchObject({ tier: 'edge' });
    edge.behave(sayWith(['Maybe', ' it', ' is', ' unclear', ', but', ' perhaps', ' 7.']));
    const answer = await askAuto(server);
    expect(answer).toMatchObject({ tier: 'cloud' });
    expect(answer.cascade.tried[0]).toMatchObject({
      outcome: 'low_confidence',
      reason: expect.stringContaining('the policy expects enough') as string,
    });
  });
});

describe('a configuration of tiers is refused', () => {
  const engines = (edgeTier: string, model = edgeModel) => [
    { kind: 'openai', name: 'a', tier: edgeTier, url: 'http://127.0.0.1:9/v1', model },
    { kind: 'openai', name: 'b', tier: 'cloud', url: 'http://127.0.0.1:9/v1', model: cloudModel },
  ];
  it.each([
    [
      'a name that is taken',
      { engines: engines('edge'), tiers: { enabled: true, model: edgeModel } },
      'which is the name of a model already',
    ],
    ['one tier', { engines: [engines('edge')[0]], tiers: { enabled: true } }, 'need at least two models of different tiers'],
    [
      'a model that is not there',
      {
        engines: engines('edge'),
        tiers: {
          enabled: true,
          levels: [
            { tier: 'edge', model: 'x' },
            { tier: 'cloud', model: cloudModel },
          ],
        },
      },
      'tiers.levels[0].model is "x", which no engine has',
    ],
    [
      'a model of another tier',
      {
        engines: engines('region'),
        tiers: {
          enabled: true,
          levels: [
            { tier: 'edge', model: edgeModel },
            { tier: 'cloud', model: cloudModel },
          ],
        },
      },
      'the engine a has it as region',
    ],
    [
      'several models in a tier',
      { engines: [...engines('edge'), { kind: 'mock', model: 'third', tier: 'edge' }], tiers: { enabled: true } },
      'the tier edge has several models',
    ],
    [
      'a model twice',
      {
        engines: engines('edge'),
        tiers: {
          enabled: true,
          levels: [
            { tier: 'edge', model: edgeModel },
            { tier: 'edge', model: edgeModel },
          ],
        },
      },
      'tiers.levels[1].model is "small" twice',
    ],
    ['an unknown key', { engines: engines('edge'), tiers: { enabled: true, escalate: 1 } }, 'unknown key "tiers.escalate"'],
    ['a score above 1', { engines: engines('edge'), tiers: { enabled: true, scores_min: { logprob: 2 } } }, 'tiers.scores_min.logprob'],
  ])('%s', async (_, file, message) => {
    await expect(startGatewayWith(file)).rejects.toThrow(message);
  });
});
