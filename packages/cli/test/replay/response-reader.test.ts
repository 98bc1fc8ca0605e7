import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ResponseReader } from '../../src/replay/generator/response-reader.ts';

/** Reads a connection's bytes in pieces of the lengths given, over and over; the rest at once. */
function read(text: string, lengths: readonly number[] = []) {
  const heads: unknown[] = [];
  let body = '';
  const reader = new ResponseReader({
    onHead: (...head) => void heads.push(head),
    onBody: (bytes) => (body += Buffer.from(bytes).toString('latin1')),
  });
  const bytes = Buffer.from(text, 'latin1');
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const length = lengths.length === 0 ? bytes.length : (lengths[turn % lengths.length] as number);
    reader.push(bytes.subarray(at, at + length));
    at += length;
  }
  return { reader, seen: () => ({ heads, body, state: reader.state, staysOpen: reader.staysOpen, idleMaxMs: reader.idleMaxMs }) };
}

const stream = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n';
const whole = { heads: [[200, 'text/event-stream']], state: 'whole', staysOpen: true, idleMaxMs: undefined };

const right: readonly (readonly [what: string, text: string, seen: object])[] = [
  [
    'chunks, with an extension and trailers',
    `${stream}5;a=b\r\nhello\r\nB\r\n, wide\r\n\r\nw\r\n0\r\nx: y\r\n\r\n`,
    { ...whole, body: 'hello, wide\r\n\r\nw' },
  ],
  [
    'a length, and its keep-alive',
    'HTTP/1.1 429 Too Many\r\nkeep-alive: timeout=5\r\ncontent-length: 2\r\n\r\n{}',
    { heads: [[429, '']], body: '{}', state: 'whole', staysOpen: true, idleMaxMs: 5000 },
  ],
  [
    'no body at all',
    'HTTP/1.1 204 No Content\r\n\r\n',
    { heads: [[204, '']], body: '', state: 'whole', staysOpen: true, idleMaxMs: undefined },
  ],
  [
    'a body of no length',
    'HTTP/1.1 503 \r\ncontent-length: 0\r\nconnection: close\r\n\r\n',
    { heads: [[503, '']], body: '', state: 'whole', staysOpen: false, idleMaxMs: undefined },
  ],
  ['an answer before the answer', `HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n${stream}1\r\na\r\n0\r\n\r\n`, { ...whole, body: 'a' }],
  [
    'HTTP/1.0, which closes',
    'HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\na',
    { heads: [[200, '']], body: 'a', state: 'whole', staysOpen: false, idleMaxMs: undefined },
  ],
  [
    'more than was asked for',
    'HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab',
    { heads: [[200, '']], body: 'a', state: 'whole', staysOpen: false, idleMaxMs: undefined },
  ],
];

const wrong: readonly (readonly [what: string, text: string])[] = [
  ['another protocol', 'SSH-2.0-OpenSSH_9.6\r\n'],
  ['a status that is none', 'HTTP/1.1 20 OK\r\n\r\n'],
  ['another protocol on the same connection', 'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n'],
  ['a header without a name', 'HTTP/1.1 200 OK\r\n: x\r\n\r\n'],
  ['lengths that differ', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\na'],
  ['a chunk without a size', `${stream}\r\na\r\n`],
  ['a size that is no number', `${stream}xyz\r\n`],
  ['a size beyond all bounds', `${stream}${'f'.repeat(13)}\r\n`],
  ['a chunk longer than its size', `${stream}1\r\nab\r\n`],
  ['a head that never ends', `HTTP/1.1 200 OK\r\n${'a: b\r\n'.repeat(20_000)}`],
  ['an extension that never ends', `${stream}1;${'a'.repeat(20_000)}`],
];

describe('an answer is read', () => {
  it.each(right)('%s', (_, text, seen) => {
    expect(read(text).seen()).toEqual(seen);
  });

  it.each(right)('%s, wherever it is cut', (_, text, seen) => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 }), (lengths) => {
        expect(read(text, lengths).seen()).toEqual(seen);
      }),
    );
  });

  it('to the end of the connection, where it has no length', () => {
    const { reader, seen } = read('HTTP/1.1 200 OK\r\n\r\nsome');
    expect(seen()).toMatchObject({ body: 'some', state: 'reading' });
    reader.close();
    expect(seen()).toMatchObject({ state: 'whole', staysOpen: false });
  });

  it('and broken off by the end of the connection, where it has one', () => {
    const { reader, seen } = read(`${stream}5\r\nhel`);
    reader.close();
    expect(seen()).toMatchObject({ body: 'hel', state: 'broken', staysOpen: false });
  });

  it('after another one', () => {
    const { reader, seen } = read('HTTP/1.1 200 OK\r\nkeep-alive: timeout=5\r\ncontent-length: 1\r\n\r\na');
    reader.reset();
    reader.push(Buffer.from('HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nb'));
    expect(seen()).toMatchObject({ body: 'ab', state: 'whole', staysOpen: true, idleMaxMs: undefined });
  });
});

describe('what is no answer is told', () => {
  it.each(wrong)('%s', (_, text) => {
    expect(read(text).seen()).toMatchObject({ state: 'broken', staysOpen: false });
    expect(read(text, [1]).seen()).toMatchObject({ state: 'broken', staysOpen: false });
  });

  it('bytes of any kind end in one of the states, with no throw', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), fc.boolean(), (text, hasHead) => {
        expect(['reading', 'whole', 'broken']).toContain(read(`${hasHead ? stream : ''}${text}`, [3, 7]).reader.state);
      }),
    );
  });
});
