import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ResponseEnd } from '../../src/load/response-end.ts';

const whole = (body: string) =>
  `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
const chunked = (parts: readonly string[]) =>
  `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${parts.map((part) => `${Buffer.byteLength(part).toString(16)}\r\n${part}\r\n`).join('')}0\r\n\r\n`;
const text = fc.string({ minLength: 1, unit: 'grapheme' });
const response = fc.oneof(text.map(whole), fc.array(text, { minLength: 1, maxLength: 4 }).map(chunked));

describe('ResponseEnd', () => {
  it('finds the end of every response, however it is cut', () => {
    fc.assert(
      fc.property(fc.array(response, { minLength: 1, maxLength: 3 }), fc.integer({ min: 1, max: 40 }), (responses, size) => {
        const reader = new ResponseEnd();
        for (const bytes of responses.map((one) => Buffer.from(one))) {
          for (let offset = 0; offset < bytes.length; offset += size) {
            const isLast = offset + size >= bytes.length;
            expect(reader.push(bytes.subarray(offset, offset + size))).toBe(isLast);
          }
        }
      }),
    );
  });

  it('throws for an answer that is none', () => {
    expect(() => new ResponseEnd().push(Buffer.from('HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n'))).toThrow('429');
  });
});
