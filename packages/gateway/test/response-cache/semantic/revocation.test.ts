import { expect, it } from 'vitest';
import { ResponseCache } from '../../../src/response-cache/response-cache.ts';
import { SemanticAnswers } from '../../../src/response-cache/semantic/semantic-answers.ts';
import { answerParts, identity, testRequest, textOf } from '../support.ts';

const settings = { ttlMs: 60_000, jitter: 0, staleMs: 0, earlyRefresh: 0, maxBytes: 1e6, maxEntryBytes: 1e5, maxRefreshes: 0 };

function open() {
  const cache = new ResponseCache({ ...settings, identify: () => identity, now: Date.now, random: () => 0.5 });
  const semantic = new SemanticAnswers({
    mode: 'on',
    similarityMin: 0.8,
    errorMax: 0.005,
    checkShare: 0,
    answerSimilarityMin: 0.9,
    entriesMax: 10,
    bytesMax: 1e6,
    charactersMax: 100,
    timeoutMs: 1000,
    embed: async (texts) => texts.map((text) => Float32Array.of(1, text.length / 1000)),
    answerOf: async (key, tenant) => (await cache.find(key, tenant))?.slot.entry.parts,
    random: () => 0.999,
  });
  cache.watchWith(semantic);
  const ask = async (content: string, tenant = 'a') => {
    const request = testRequest({ tenant, input: { kind: 'chat', messages: [{ role: 'user', content }] } });
    const parts = [];
    for await (const part of cache.stage(request, async function* () {
      yield* answerParts(`to ${content}`);
    }))
      parts.push(part);
    const note = request.events.find((event) => event.type === 'answer-note' && event.name === 'cache');
    return { text: textOf(parts), ...(note as { value: { result: string; key: string } }).value };
  };
  return { cache, semantic, ask };
}

it('serves a revoked answer to no similar question, either', async () => {
  const { cache, semantic, ask } = open();
  const first = await ask('What is the answer?');
  const similar = await ask('what is the answer');
  expect(similar).toMatchObject({ result: 'semantic', key: first.key, text: 'to What is the answer?' });
  // Another tenant can neither have it nor revoke it.
  expect((await ask('what is the answer', 'b')).result).toBe('miss');
  expect(await cache.revoke(first.key, 'b')).toBe(false);
  expect((await ask('what is an answer')).result).toBe('semantic');
  expect(await cache.revoke(first.key, 'a')).toBe(true);
  expect(semantic.index.size).toBe(1);
  expect(await ask('what is the answer')).toMatchObject({ result: 'miss', text: 'to what is the answer' });
});

it('does not keep the answer of a similar question under the own key', async () => {
  const { cache, ask } = open();
  const first = await ask('What is the answer?');
  await ask('what is the answer');
  await cache.revoke(first.key, 'a');
  expect((await ask('what is the answer')).text).toBe('to what is the answer');
});
