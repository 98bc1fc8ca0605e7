import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { EngineCore, type LoadedModel } from '../../src/core.ts';
import { Arrivals } from '../../src/process/arrivals.ts';
import { openTestModel } from '../support/default-model.ts';
import { tokenRequest } from '../support/requests.ts';
import { writeTinyModel } from '../support/tiny-model.ts';

const contextLength = 256;
/** Spaces, in the tokenizer of these tests. */
const longestToken = 16;
let folder: string;
let model: LoadedModel;
/** Between two steps. */
let tokenizedCharacters = 0;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'autoglm-long-'));
  const file = path.join(folder, 'tiny.gguf');
  await writeTinyModel(file, { architecture: 'llama', seed: 5 });
  const opened = openTestModel(file, { contextLength, maxBatchSize: 1 });
  const tokenize = (text: string, parseControl: boolean) => {
    tokenizedCharacters += text.length;
    return opened.vocabulary.tokenize(text, parseControl);
  };
  model = { ...opened, vocabulary: { ...opened.vocabulary, tokenize } };
});
afterAll(async () => {
  model.close();
  await rm(folder, { recursive: true });
});

it.each([
  ['spaces', ' '],
  ['Chinese', '今天天气很好'],
  ['English', 'the quick brown fox '],
])('a prompt far too long is refused for its beginning: %s', (_, piece) => {
  const core = new EngineCore(model, { maxBatchSize: 1, stepTokenBudget: 128, maxChunk: 128, continuous: true, maxQueue: 1 });
  tokenizedCharacters = 0;
  const prompt = { segments: [{ kind: 'text', text: piece.repeat(60_000 / piece.length) }] } as const;
  expect(() => core.add({ ...tokenRequest('long', [0], 1), prompt })).toThrow(/more than 256 tokens/);
  expect(tokenizedCharacters).toBeLessThanOrEqual(8 * longestToken * contextLength);
  expect(core.idle).toBe(true);
});

it('nothing long is tokenized between two steps', async () => {
  const { tokenizer } = new EngineCore(model, { maxBatchSize: 1, stepTokenBudget: 128, maxChunk: 128, continuous: true, maxQueue: 1 });
  const text = (length: number) => ({ kind: 'text', text: '今天天气很好，'.repeat(Math.ceil(length / 7)).slice(0, length) }) as const;
  const segments = [text(10), text(20_000), text(1000), text(5), text(3000)];
  const expected = segments.map((segment) => model.vocabulary.tokenize(segment.text, false));
  tokenizedCharacters = 0;
  expect(await tokenizer.aside(tokenizer.count(segments))).toEqual(expected.map(({ length }) => length));
  expect(await tokenizer.aside(tokenizer.read({ segments }))).toEqual(expected.flat());
  await expect(tokenizer.aside(tokenizer.readFitting({ segments }))).rejects.toThrow(/more than 256 tokens/);
  expect(tokenizedCharacters).toBeLessThanOrEqual(3 * 2048);
});

it('of a request that has left, no text waits to be tokenized', async () => {
  const reached: string[] = [];
  const tokenizeAside = (text: string, parseControl: boolean) => {
    reached.push(text.slice(0, 1));
    return model.vocabulary.tokenizeAside(text, parseControl);
  };
  const core = new EngineCore(
    { ...model, vocabulary: { ...model.vocabulary, tokenizeAside } },
    { maxBatchSize: 1, stepTokenBudget: 128, maxChunk: 128, continuous: true, maxQueue: 1 },
  );
  const arrivals = new Arrivals(core, 4);
  const [stays, leaves, follows] = ['s', 'l', 'f'].map((id) =>
    arrivals.add({ ...tokenRequest(id, [0], 1), prompt: { segments: [{ kind: 'text', text: id + ' '.repeat(150 * longestToken) }] } }),
  );
  arrivals.abort('l');
  expect(await leaves).toBe(false);
  expect(await Promise.all([stays, follows])).toEqual([true, true]);
  expect(reached).toEqual(['s', 'f']);
});
