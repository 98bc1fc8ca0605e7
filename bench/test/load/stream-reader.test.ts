import { describe, expect, it } from 'vitest';
import { openStreamReader } from '../../src/load/stream-reader.ts';

const chunk = (delta: object, finishReason: string | null = null) =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finishReason }], usage: null })}\n\n`;
const stream = [
  chunk({ role: 'assistant', content: '' }),
  chunk({ content: '北' }),
  chunk({ content: '京' }),
  chunk({}, 'length'),
  `data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: 9, completion_tokens: 2 } })}\n\n`,
  'data: [DONE]\n\n',
];

/** The clock counts the chunks. */
function read(chunks: readonly Buffer[]) {
  let now = 0;
  const reader = openStreamReader(() => now);
  for (const each of chunks) {
    now += 1;
    reader.push(each);
  }
  return reader.end();
}

describe('a stream reader', () => {
  it('finds the first token, the end, the count and the reason', () => {
    expect(read(stream.map((text) => Buffer.from(text)))).toEqual({
      firstTokenAt: 2,
      endedAt: 6,
      promptTokens: 9,
      tokens: 2,
      finishReason: 'length',
    });
  });

  it('does not mind where the bytes are cut', () => {
    const bytes = Buffer.from(stream.join(''));
    const result = read([...bytes].map((byte) => Buffer.of(byte)));
    expect(result).toMatchObject({ endedAt: bytes.length, tokens: 2, finishReason: 'length' });
    expect(result.firstTokenAt).toBeLessThan(bytes.indexOf('京'));
  });

  it('reads what chunked encoding puts around the events', () => {
    const framed = stream.map((text) => Buffer.from(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`));
    const head = Buffer.from('HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n');
    expect(read([head, ...framed, Buffer.from('0\r\n\r\n')])).toEqual({
      firstTokenAt: 3,
      endedAt: 8,
      promptTokens: 9,
      tokens: 2,
      finishReason: 'length',
    });
  });

  it('refuses a stream that was cut off', () => {
    expect(() => read(stream.slice(0, 3).map((text) => Buffer.from(text)))).toThrow('without its last events');
  });
});
