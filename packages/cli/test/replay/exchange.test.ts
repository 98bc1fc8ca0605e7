import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { noBytes } from '../../src/replay/generator/exchange-facts.ts';
import { Exchange } from '../../src/replay/generator/exchange.ts';

describe('an answer', () => {
  it('has the tokens that open-autoglm tells beside its timings, where there is no usage', () => {
    const events = [
      { choices: [{ index: 0, delta: { content: 'one two three' } }] },
      {
        choices: [],
        autoglm: {
          timings: { decode: 5 },
          usage: { prompt_tokens: 20, completion_tokens: 7, prompt_tokens_details: { cached_tokens: 3 } },
        },
      },
    ];
    const exchange = new Exchange({ index: 0, target: 0, slice: 0 });
    exchange.take('sent', 0, 0, noBytes);
    exchange.take('head', 1, 200, new TextEncoder().encode('text/event-stream'));
    exchange.take(
      'piece',
      2,
      0,
      new TextEncoder().encode(`${events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('')}data: [DONE]\n\n`),
    );
    expect(exchange.take('whole', 3, 0, noBytes)).toMatchObject({
      outcome: 'answered',
      promptTokens: 20,
      cachedTokens: 3,
      outputTokens: 7,
      timings: { decode: 5 },
    });
  });
});

describe('a refusal', () => {
  it('is told in its own words, wherever its bytes are cut', () => {
    const message = '服务器繁忙，请稍后再试 🙇';
    const body = new TextEncoder().encode(JSON.stringify({ error: { message } }));
    fc.assert(
      fc.property(fc.array(fc.nat(body.length), { maxLength: 5 }), (cuts) => {
        const exchange = new Exchange({ index: 0, target: 0, slice: 0 });
        exchange.take('sent', 0, 0, noBytes);
        exchange.take('head', 1, 429, new TextEncoder().encode('application/json'));
        const at = [0, ...cuts.toSorted((a, b) => a - b), body.length];
        for (const [index, to] of at.slice(1).entries()) exchange.take('piece', 2, 0, body.subarray(at[index], to));
        expect(exchange.take('whole', 3, 0, noBytes)).toMatchObject({ outcome: 'refused', error: `HTTP 429: ${message}` });
      }),
    );
  });
});
