import { mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OutcomeRecorder, type SeenQuestion } from '../../../src/router/tiers/outcome-recorder.ts';
import { startFakeBackend, type FakeBackend } from '../../upstream/fake-backend.ts';
import { until } from '../../support.ts';
import { askAuto, sayWith, startTiers } from './support.ts';

let folder: string;
let edge: FakeBackend;
let cloud: FakeBackend;
beforeEach(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'autoglm-recorder-'));
  edge = await startFakeBackend(sayWith(['It', ' is', ' 41.']));
  cloud = await startFakeBackend(sayWith(['The', ' answer', ' is', ' 42.']));
});
afterEach(async () => {
  await edge[Symbol.asyncDispose]();
  await cloud[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});
const fileOf = () => path.join(folder, 'outcomes.jsonl');
const linesOf = () =>
  readFileSync(fileOf(), 'utf8')
    .trimEnd()
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
const start = (record: object | undefined) =>
  startTiers({ edgeUrl: edge.url, cloudUrl: cloud.url, tiers: record ? { record: { file: fileOf(), ...record } } : {} });
const feedback = (server: Awaited<ReturnType<typeof start>>, body: object, headers = {}) =>
  server.post('/v1/cascade/feedback', body, { headers });
const idOf = ({ raw }: { readonly raw: unknown }) => ([raw].flat()[0] as { id: string }).id;

describe.each([false, true])("what becomes of the cascade's questions, streamed: %s", (stream) => {
  it('is recorded with both answers where contents may be, and what is said of them', async () => {
    await using server = await start({ contents: true });
    const sure = await askAuto(server, { stream, content: 'How many are 40 and 1?' });
    edge.behave(sayWith(['Hm.'], 0.1));
    const unsure = await askAuto(server, { stream, content: 'How many are 40 and 2?' });
    expect((await feedback(server, { id: idOf(sure), cheap_ok: true, strong_ok: false })).status).toBe(200);
    await until(() => linesOf().length === 3);
    expect(linesOf()).toMatchObject([
      {
        id: idOf(sure),
        tier: 'edge',
        escalated: false,
        prompt: 'How many are 40 and 1?',
        cheap_answer: 'It is 41.',
        cheap_scores: { shape: 1 },
        tried: [{ tier: 'edge', outcome: 'answered' }],
      },
      {
        id: idOf(unsure),
        tier: 'cloud',
        escalated: true,
        prompt: 'How many are 40 and 2?',
        cheap_answer: 'Hm.',
        strong_answer: 'The answer is 42.',
        tried: [
          { tier: 'edge', outcome: 'low_confidence' },
          { tier: 'cloud', outcome: 'answered' },
        ],
      },
      { id: idOf(sure), cheap_ok: true, strong_ok: false },
    ]);
    expect(statSync(fileOf()).mode & 0o077).toBe(0);
  });
});

it('holds no word of the prompt or of the answer otherwise', async () => {
  await using server = await start({});
  await askAuto(server, { content: 'Who is Rumpelstiltskin, and what are 2 and 2?' });
  await until(() => linesOf().length === 1);
  expect(linesOf()[0]).toMatchObject({
    prompt_numbers: { distinct_numbers: expect.any(Number) as number },
    answer_numbers: { answer_characters: expect.any(Number) as number },
  });
  expect(readFileSync(fileOf(), 'utf8')).not.toMatch(/Rumpelstiltskin|It is 41/);
});

it("is judged by who asked, by the answer's id, and by nobody else", async () => {
  await using server = await start({});
  const answer = await askAuto(server);
  const code = async (body: object, headers = {}) => {
    const response = await feedback(server, body, headers);
    return [response.status, ((await response.json()) as { error?: { code: string; param: string } }).error];
  };
  expect(await code({ id: idOf(answer), cheap_ok: true }, { 'x-autoglm-tenant': 'another' })).toMatchObject([
    404,
    { code: 'answer_not_found', param: 'id' },
  ]);
  expect(await code({ id: 'chatcmpl-nobody', cheap_ok: true })).toMatchObject([404, { code: 'answer_not_found' }]);
  expect(await code({ id: idOf(answer) })).toMatchObject([400, { code: 'missing_parameter' }]);
  expect(await code({ id: idOf(answer), cheap_ok: 'yes' })).toMatchObject([400, { param: 'cheap_ok' }]);
  expect(await code({ id: idOf(answer), right: true })).toMatchObject([400, { code: 'unknown_parameter', param: 'right' }]);
  expect(await code({ id: idOf(answer), cheap_ok: false })).toMatchObject([200, undefined]);
});

it("is nobody's affair where nothing is to be recorded, and must have a place where it is", async () => {
  await using server = await start(undefined);
  await askAuto(server);
  expect((await feedback(server, { id: 'x', cheap_ok: true })).status).toBe(404);
  await expect(start({ file: folder })).rejects.toThrow('tiers.record.file');
});

it('is judged once a side, and by the tenant that the question named', async () => {
  await using server = await start({});
  const answer = await askAuto(server, { autoglm: { tenant: 'ada' } });
  const judge = async (verdict: object) => (await feedback(server, { id: idOf(answer), ...verdict })).status;
  const autoglm = { tenant: 'ada' };
  expect([await judge({ cheap_ok: true }), await judge({ cheap_ok: true, autoglm: { tenant: 'bob' } })]).toEqual([404, 404]);
  expect([
    await judge({ cheap_ok: true, autoglm }),
    await judge({ cheap_ok: true, autoglm }),
    await judge({ cheap_ok: false, autoglm }),
    await judge({ cheap_ok: true, strong_ok: false, autoglm }),
  ]).toEqual([200, 200, 400, 200]);
  await until(() => linesOf().length === 3);
});

it('is refused, and counted, where there is no room for it', async () => {
  await using server = await start({ bytes_max: 4096 });
  const first = await askAuto(server);
  for (let count = 0; count < 20; count += 1) await askAuto(server);
  const response = await feedback(server, { id: idOf(first), cheap_ok: true });
  expect([response.status, await response.json()]).toMatchObject([503, { error: { code: 'storage_unavailable' } }]);
  expect(await (await fetch(`${server.url}/metrics`)).text()).toMatch(/^autoglm_outcomes_dropped_total [1-9]/m);
});

it('counts as a request of its tenant', async () => {
  await using server = await startTiers({
    edgeUrl: edge.url,
    cloudUrl: cloud.url,
    tiers: { record: { file: fileOf() } },
    more: { limits: { tenant: { requests_per_minute: 2 } } },
  });
  const id = idOf(await askAuto(server));
  expect([(await feedback(server, { id, cheap_ok: true })).status, (await feedback(server, { id, strong_ok: true })).status]).toEqual([
    200, 429,
  ]);
});

it('is not recorded of a question without words', async () => {
  await using server = await start({ contents: true });
  await askAuto(server, { content: '' });
  await askAuto(server, { content: 'What is 1?' });
  await until(() => linesOf().length > 0);
  expect(linesOf()).toMatchObject([{ prompt: 'What is 1?' }]);
});

const asked: SeenQuestion = {
  id: 'a',
  tenant: '',
  prompt: 'x'.repeat(200),
  cheapAnswer: undefined,
  cheapScores: undefined,
  strongAnswer: undefined,
  tier: 'edge',
  isEscalated: false,
  tried: [],
};

it('follows a line that was cut off on a line of its own', async () => {
  writeFileSync(fileOf(), '{"id":"cut o');
  const recorder = new OutcomeRecorder({ file: fileOf(), hasContents: true, bytesMax: 10_000, now: () => 0, onProblem: () => {} });
  for (const id of ['a', 'b']) {
    recorder.question({ ...asked, id });
    await recorder.close();
  }
  const [cut, ...lines] = readFileSync(fileOf(), 'utf8').trimEnd().split('\n');
  expect([cut, lines.map((line) => (JSON.parse(line) as { id: string }).id)]).toEqual(['{"id":"cut o', ['a', 'b']]);
});

it('begins a new file, for its owner only, when the old one was moved away, full or not', async () => {
  let nowMs = 0;
  const problems: (string | undefined)[] = [];
  const recorder = new OutcomeRecorder({
    file: fileOf(),
    hasContents: true,
    bytesMax: 1000,
    now: () => nowMs,
    onProblem: (problem) => problems.push(problem),
  });
  const ask = async (id: string) => {
    recorder.question({ ...asked, id });
    await recorder.close();
  };
  await ask('a');
  renameSync(fileOf(), `${fileOf()}.1`);
  for (const id of ['b', 'c', 'd', 'e']) await ask(id);
  expect([linesOf().map(({ id }) => id), statSync(fileOf()).mode & 0o077]).toEqual([['b', 'c', 'd'], 0]);
  expect(recorder.judge('b', '', { cheap_ok: true })).toBe('dropped');
  renameSync(fileOf(), `${fileOf()}.2`);
  nowMs += 60_000;
  for (const id of ['f', 'g']) await ask(id);
  expect([linesOf().map(({ id }) => id), recorder.dropped, problems]).toEqual([
    ['g'],
    3,
    ['the file has its 1000 bytes (tiers.record.bytes_max)', undefined],
  ]);
});

it('is written up to a bound, dropped and counted beyond it, and said once', async () => {
  const problems: (string | undefined)[] = [];
  const recorder = new OutcomeRecorder({
    file: fileOf(),
    hasContents: true,
    bytesMax: 1000,
    now: () => 0,
    onProblem: (problem) => problems.push(problem),
  });
  for (let count = 0; count < 10; count += 1) recorder.question({ ...asked, id: `a${count}` });
  await recorder.close();
  expect(statSync(fileOf()).size).toBeLessThanOrEqual(1000);
  expect([linesOf().length, recorder.dropped]).toEqual([3, 7]);
  expect(problems.filter(Boolean)).toEqual(['the file has its 1000 bytes (tiers.record.bytes_max)']);
  expect(['somebody', ''].map((tenant) => recorder.judge('a0', tenant, { cheap_ok: true }))).toEqual(['unknown', 'dropped']);
});
