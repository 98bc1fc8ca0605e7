import { describe, expect, it } from 'vitest';
import { stopClock } from '../../stopped-clock.ts';
import { createGate, until } from '../../support.ts';
import { startSemanticServer, type SemanticServer } from './support.ts';

/** Differs from the next by a capital and an article. */
const question = 'How do I learn the guitar quickly?';
const again = 'how do I learn guitar quickly?';
/** The same with a comma where none belongs. */
const rephrased = question
  .split(' ')
  .slice(1)
  .map((_, index, words) => `How ${words.map((word, at) => (at === index ? `${word},` : word)).join(' ')}`);

/** A count that the server's metrics tell. */
async function count(server: SemanticServer, series: string): Promise<number> {
  const line = (await server.metrics()).split('\n').find((text) => text.startsWith(`autoglm_semantic_cache_${series}`));
  return Number(line?.split(' ').at(-1) ?? 0);
}

describe('the semantic cache, on', () => {
  it('answers a question that hardly differs, and says so', async () => {
    // The first is checked by chance, as long as little is known; so many are not.
    await using server = await startSemanticServer({ answers: { guitar: 'Practise.' } });
    const first = await server.ask(question);
    expect(first).toMatchObject({ cache: 'miss', text: 'Practise.' });
    const others = [
      again,
      'How do I learn guitar quickly',
      'HOW DO I LEARN THE GUITAR QUICKLY?',
      'How do I learn a guitar quickly?',
      'Please tell me, how do I learn the guitar quickly?',
    ];
    const answers = [];
    for (const other of others) answers.push(await server.ask(other));
    const served = answers.filter(({ cache }) => cache === 'semantic');
    expect(served.length).toBeGreaterThan(0);
    for (const { text, note } of served) {
      expect(text).toBe('Practise.');
      expect(note).toMatchObject({
        result: 'semantic',
        level: 'memory',
        key: expect.any(String),
        wording: 'same-text',
        similarity: expect.any(Number),
        expected_error: expect.any(Number),
        age_ms: expect.any(Number),
      });
    }
    expect(await count(server, 'questions_total{step="served"}')).toBe(served.length);
    // An exact answer is asked for first.
    expect((await server.ask(question)).cache).toBe('exact');
  });

  it.each([
    ['another number', 'How do I save 300 dollars a month?', 'How do I save 400 dollars a month?'],
    ['a denial', 'Why can people eat raw fish?', 'Why can people not eat raw fish?'],
    ['another name', 'How do I get to Miami from here?', 'How do I get to Siami from here?'],
    ['another order', 'Is Python faster than Java for this?'.replace(' for this', ''), 'Is Java faster than Python?'],
    ['another number in Chinese', '明天下午三点在店里洗车可以吗', '明天下午四点在店里洗车可以吗'],
    ['a denial in Chinese', '会员可以在店里退款吗', '会员不可以在店里退款吗'],
  ])('never serves %s', async (_, a, b) => {
    await using server = await startSemanticServer();
    await server.ask(a);
    expect((await server.ask(b)).cache).toBe('miss');
    expect(await server.metrics()).toMatch(/autoglm_semantic_cache_differences_total\{rule=".+"\} 1/);
    expect(await count(server, 'questions_total{step="candidate"}')).toBe(0);
  });

  it('compares questions of the same scope only: tenant, earlier turns, system prompt, sampling', async () => {
    await using server = await startSemanticServer({ answers: { guitar: 'Practise.' } });
    await server.ask(question);
    const user = { role: 'user', content: again };
    expect((await server.ask(again, { authorization: 'Bearer another' })).cache).toBe('miss');
    expect((await server.ask({ messages: [{ role: 'system', content: 'Be brief.' }, user] })).cache).toBe('miss');
    expect((await server.ask({ messages: [{ role: 'user', content: 'Hi' }, { role: 'assistant', content: 'Hello' }, user] })).cache).toBe(
      'miss',
    );
    expect((await server.ask({ messages: [user], max_tokens: 7 })).cache).toBe('miss');
    expect((await server.ask({ messages: [user], seed: 3 })).cache).toBe('miss');
    expect(await count(server, 'questions_total{step="candidate"}')).toBe(0);
  });

  it('learns from answers that were computed anyway, and distrusts what was wrong', async () => {
    // Every phrase gets an answer of its own: no two are the same.
    const answers = Object.fromEntries(rephrased.map((text, index) => [text, String.fromCharCode(97 + index).repeat(5)]));
    await using server = await startSemanticServer({ answers, semantic: { check_share: 1, answer_similarity_min: 1 } });
    for (const text of rephrased) expect((await server.ask(text)).cache).toBe('miss');
    await until(async () => (await count(server, 'checks_total{result="wrong"}')) >= rephrased.length - 1);
    // Nothing of this wording is trusted any more, and nothing is checked by chance: it is not believed.
    expect(await count(server, 'threshold{wording="same-text"}')).toBe(0);
    expect(await count(server, 'checks_total{result="right"}')).toBe(0);
  });

  it('is revoked by DELETE /v1/cache/{key}', async () => {
    await using server = await startSemanticServer({ answers: { guitar: 'Practise.' } });
    const { note } = await server.ask(question);
    expect((await fetch(`${server.url}/v1/cache/${String(note?.['key'])}`, { method: 'DELETE' })).ok).toBe(true);
    expect(await count(server, 'entries')).toBe(0);
    expect((await server.ask(again)).cache).toBe('miss');
    expect(await count(server, 'questions_total{step="candidate"}')).toBe(0);
  });

  it('is a miss where the embedding fails or takes too long, and no error', async () => {
    const gate = createGate();
    let isBroken = true;
    await using server = await startSemanticServer({
      answers: { guitar: 'Practise.' },
      semantic: { timeout_ms: 30 },
      embeddings: {
        beforeAnswer: () => {
          if (isBroken) throw new Error('broken');
          return gate.passed;
        },
      },
    });
    expect(await server.ask(question)).toMatchObject({ cache: 'miss', text: 'Practise.' });
    isBroken = false;
    expect(await server.ask(again)).toMatchObject({ cache: 'miss', text: 'Practise.' });
    gate.open();
    expect(await count(server, 'embeddings_missed_total{reason="failed"}')).toBeGreaterThanOrEqual(2);
  });

  it('forgets what has gone from the cache', async () => {
    using clock = stopClock();
    await using server = await startSemanticServer({
      answers: { guitar: 'Practise.' },
      cache: { ttl_seconds: 1, stale_seconds: 0, ttl_jitter: 0 },
    });
    await server.ask({ messages: [{ role: 'user', content: question }], autoglm: { cache: { ttl_seconds: 1 } } });
    expect(await count(server, 'entries')).toBe(1);
    clock.pass(1100);
    expect((await server.ask(again)).cache).toBe('miss');
    await until(async () => (await count(server, 'entries')) === 1);
    expect(await count(server, 'questions_total{step="candidate"}')).toBe(0);
  });

  it('keeps within its entries', async () => {
    await using server = await startSemanticServer({ semantic: { max_entries: 3 } });
    for (let turn = 0; turn < 10; turn += 1) await server.ask(`What is the story of person number ${turn}?`);
    expect(await count(server, 'entries')).toBe(3);
  });
});

describe('the semantic cache, in shadow', () => {
  it('never serves, and compares what it would have served', async () => {
    await using server = await startSemanticServer({ answers: { guitar: 'Practise.' }, semantic: { mode: 'shadow' } });
    await server.ask(question);
    for (const text of rephrased) expect((await server.ask(text)).cache).toBe('miss');
    await until(async () => (await count(server, 'checks_total{result="right"}')) === rephrased.length);
    expect(await count(server, 'questions_total{step="served"}')).toBe(0);
    expect(server.engine.asked).toHaveLength(rephrased.length + 1);
  });
});

describe('the semantic cache, off', () => {
  it('asks for no embedding', async () => {
    await using server = await startSemanticServer({ semantic: { mode: 'off' } });
    await server.ask(question);
    await server.ask(again);
    expect(server.embeddings.requests).toHaveLength(0);
    expect(await server.metrics()).not.toContain('autoglm_semantic_cache');
  });
});
