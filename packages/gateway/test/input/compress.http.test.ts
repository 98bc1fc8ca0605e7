import { describe, expect, it } from 'vitest';
import { expandTemplate } from '../../src/input/compress/template.ts';
import { chatBody, startTestServer, type TestServer } from '../support.ts';
import { fakeModel, say, startFakeBackend } from '../upstream/fake-backend.ts';
import { startGatewayWith } from '../upstream/support.ts';

interface Note {
  readonly method: string;
  readonly rate?: number;
  readonly text_tokens_before: number;
  readonly text_tokens: number;
  readonly counted_by: string;
}
interface Answer {
  readonly error?: { readonly code: string; readonly param: string };
  readonly autoglm?: { readonly compressed?: Note; readonly fitted?: object };
}

const chat = '/v1/chat/completions';
const read = async (response: Promise<Response>) => (await (await response).json()) as Answer;
const plain = [
  'Bread smells good in the morning. ',
  'People walk along the river. ',
  'Children fly kites in the meadow. ',
  'Old trees lose their leaves. ',
  'A cat sleeps on the warm wall. ',
];
const story = Array.from(
  { length: 40 },
  (_, index) =>
    `${plain[index % 5]?.slice(0, -2)} near the ${['mill', 'gate', 'well', 'barn', 'pond', 'lane', 'wood', 'fort'][index % 8]}. `,
).join('');
const fact = 'The vault opens with the code 7351. ';
const messages = [
  { role: 'system', content: 'You answer briefly. You answer briefly.' },
  { role: 'user', content: `Listen. ${story}${fact}${story}` },
  { role: 'assistant', content: 'I see.' },
  { role: 'user', content: 'What opens the vault?' },
];

const promptOf = (server: TestServer, index = -1) => {
  const prompt = server.engine.requests.at(index)?.prompt;
  return prompt && 'segments' in prompt ? prompt.segments.map(({ text }) => text).join('') : '';
};

describe('autoglm.compression', () => {
  it('is off unless asked for, and does nothing to short prompts', async () => {
    await using server = await startTestServer();
    expect((await read(server.post(chat, { model: 'default', messages }))).autoglm).not.toHaveProperty('compressed');
    const { autoglm } = await read(server.post(chat, { ...chatBody, autoglm: { compression: 'dedupe' } }));
    expect(autoglm?.compressed).toMatchObject({ method: 'dedupe', text_tokens_before: 2, text_tokens: 2 });
    expect((await read(server.post(chat, { ...chatBody, autoglm: { compression: 'off' } }))).autoglm).not.toHaveProperty('compressed');
  });

  it('dedupe leaves out what is said again, and touches neither instructions nor question', async () => {
    await using server = await startTestServer();
    const { autoglm } = await read(server.post(chat, { model: 'default', messages, autoglm: { compression: 'dedupe' } }));
    expect(autoglm?.compressed?.text_tokens).toBeLessThan(0.6 * (autoglm?.compressed?.text_tokens_before ?? 0));
    const prompt = promptOf(server);
    expect(prompt).toContain('You answer briefly. You answer briefly.');
    expect(prompt.split('Children fly kites in the meadow near the well. ')).toHaveLength(2);
    expect(prompt).toContain(fact);
    expect(prompt).toContain('What opens the vault?');
    // The mock counts characters.
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    expect(metrics).toMatch(/^autoglm_prompt_tokens_spared_total\{model_name="default",by="dedupe"\} [1-9]\d+$/mu);
  });

  it('extract spares as much as is asked for, and keeps what holds facts', async () => {
    await using server = await startTestServer();
    const spared: number[] = [];
    for (const rate of [0.3, 0.6, 0.9]) {
      const { autoglm } = await read(
        server.post(chat, {
          model: 'default',
          messages: [{ role: 'user', content: story + fact }, ...messages.slice(2)],
          autoglm: { compression: { method: 'extract', rate } },
        }),
      );
      const { text_tokens: after = 0, text_tokens_before: before = 1 } = autoglm?.compressed ?? {};
      spared.push(1 - after / before);
      expect(promptOf(server)).toContain(fact.trim());
    }
    expect(spared[0]).toBeGreaterThanOrEqual(0.3);
    expect(spared[0]).toBeLessThan(0.35);
    expect(spared[1]).toBeGreaterThanOrEqual(0.6);
    expect(spared[2]).toBeGreaterThan(0.8);
  });

  it('template loses nothing', async () => {
    await using server = await startTestServer();
    await server.post('/v1/completions', { model: 'default', prompt: story.repeat(3), autoglm: { compression: 'template' } });
    expect(promptOf(server).length).toBeLessThan(0.6 * story.length * 3);
    expect(expandTemplate([promptOf(server)])).toEqual([story.repeat(3)]);
  });

  it('goes before fitting, and both say what they did', async () => {
    await using server = await startTestServer({ model: { contextLength: 1400 } });
    const { autoglm } = await read(server.post(chat, { model: 'default', messages, autoglm: { compression: 'dedupe', fit: true } }));
    expect(autoglm?.compressed?.text_tokens_before).toBeGreaterThan(3000);
    expect(autoglm?.fitted).toBeDefined();
    expect(promptOf(server).length).toBeLessThanOrEqual(1400 - 350);
  });

  it('adapts to the time that first tokens take', async () => {
    await using gateway = await startGatewayWith({
      engines: [{ kind: 'mock', model: 'm' }],
      compression: { method: 'adaptive', rate: 0.9, adaptive: { ttft_low_ms: 86_399_999, ttft_high_ms: 86_400_000 } },
    });
    const body = { model: 'm', messages };
    expect((await read(gateway.post(chat, body))).autoglm?.compressed).toMatchObject({ method: 'extract', rate: 0.15 });
    expect((await read(gateway.post(chat, body))).autoglm?.compressed).toMatchObject({ method: 'extract', rate: 0.15 });
    await using server = await startTestServer(
      { beforeToken: (index) => (index === 0 ? new Promise((resolve) => setTimeout(resolve, 5)) : undefined) },
      {},
      {},
      {},
      {
        compression: {
          method: 'adaptive',
          rate: 0.3,
          adaptive: { rate_min: 0.15, rate_max: 0.62, ttft_low_ms: 1, ttft_high_ms: 2, hysteresis: 0.1 },
        },
      },
    );
    const rates = [];
    for (let turn = 0; turn < 3; turn += 1)
      rates.push((await read(server.post(chat, { model: 'default', messages }))).autoglm?.compressed?.rate);
    expect(rates).toEqual([0.15, 0.62, 0.62]);
  });

  it('works for other servers, whose other fields stay', async () => {
    await using backend = await startFakeBackend(say());
    await using gateway = await startGatewayWith({ engines: [{ kind: 'openai', name: 'fake', url: backend.url, model: fakeModel }] });
    const named = messages.map((message) => ({ ...message, vendor_field: 1 }));
    const { autoglm } = await read(gateway.post(chat, { model: fakeModel, messages: named, autoglm: { compression: 'dedupe' } }));
    expect(autoglm?.compressed).toMatchObject({ counted_by: 'estimate' });
    const sent = backend.requests[0]?.body['messages'] as { content: string; vendor_field: number }[];
    expect(sent.map(({ vendor_field: field }) => field)).toEqual([1, 1, 1, 1]);
    expect(sent[1]?.content.length).toBeLessThan(0.6 * (messages[1]?.content.length ?? 0));
  });

  it('is refused by the field where it makes no sense', async () => {
    await using server = await startTestServer();
    const refused = async (compression: unknown) => (await read(server.post(chat, { ...chatBody, autoglm: { compression } }))).error;
    expect(await refused('zip')).toMatchObject({ code: 'invalid_value', param: 'autoglm.compression' });
    expect(await refused({ rate: 0.5 })).toMatchObject({ code: 'missing_parameter', param: 'autoglm.compression.method' });
    expect(await refused({ method: 'zip' })).toMatchObject({ code: 'invalid_value', param: 'autoglm.compression.method' });
    expect(await refused({ method: 'extract', rate: 2 })).toMatchObject({ code: 'invalid_value', param: 'autoglm.compression.rate' });
    expect(await refused({ method: 'dedupe', rate: 0.5 })).toMatchObject({ code: 'invalid_value', param: 'autoglm.compression.rate' });
    expect(await refused({ method: 'dedupe', level: 3 })).toMatchObject({ code: 'unknown_parameter', param: 'autoglm.compression.level' });
    await expect(startGatewayWith({ compression: { adaptive: { rate_min: 0.7 } } })).rejects.toThrow(
      /compression\.adaptive\.rate_max is 0\.62, and must not be less than rate_min: 0\.7/,
    );
    await expect(startGatewayWith({ compression: { adaptive: { ttft_low_ms: 5000 } } })).rejects.toThrow(/ttft_high_ms is 5000/);
  });
});
