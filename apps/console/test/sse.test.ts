import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SseReader } from '../src/sse.ts';

const stream =
  ': a comment\n\ndata: {"a":1}\n\nevent: x\r\ndata:第二\r\ndata:  行\r\n\r\nid: 7\n\ndata: three\r\rdata: [DONE]\n\ndata: never ended';
const expected = ['{"a":1}', '第二\n 行', 'three', '[DONE]'];

describe('SseReader', () => {
  it('reads the same events however the text is cut', () => {
    const cut = fc.array(fc.integer({ min: 0, max: stream.length }), { maxLength: 12 });
    fc.assert(
      fc.property(cut, (places) => {
        const reader = new SseReader();
        const bounds = [0, ...places.toSorted((a, b) => a - b), stream.length];
        const pieces = bounds.slice(1).map((end, index) => stream.slice(bounds[index], end));
        expect(pieces.flatMap((piece) => reader.read(piece))).toEqual(expected);
      }),
    );
  });

  it.each(['xxxxxxxxxxxxxxxx', `data: ${'x'.repeat(1000)}\n`])('does not keep an event that never ends (%#)', (piece) => {
    const reader = new SseReader();
    const megabyte = piece.repeat(Math.ceil(2 ** 20 / piece.length));
    expect(() => {
      for (let read = 0; read < 8; read += 1) reader.read(megabyte);
    }).toThrow('never ends');
  });
});
