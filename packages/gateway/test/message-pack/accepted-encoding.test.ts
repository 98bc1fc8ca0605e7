import { expect, it } from 'vitest';
import { encodingOf } from '../../src/common/accepted-encoding.ts';

it.each([
  [undefined, 'json'],
  ['*/*', 'json'],
  ['application/json', 'json'],
  ['text/html', 'json'],
  ['application/msgpack', 'plain'],
  ['application/x-msgpack', 'plain'],
  ['APPLICATION/VND.MSGPACK; Records=1', 'records'],
  ['application/msgpack;records="1"', 'records'],
  ['application/msgpack;records=0', 'plain'],
  ['application/msgpack, */*', 'plain'],
  ['*/*, application/msgpack', 'plain'],
  ['application/json, application/msgpack', 'json'],
  ['application/msgpack, application/json', 'plain'],
  ['application/json;q=0.5, application/msgpack', 'plain'],
  ['application/json, application/msgpack;q=0.5', 'json'],
  ['text/event-stream, application/msgpack;q=0.9', 'json'],
  ['application/msgpack;q=0', 'json'],
  ['application/msgpack;q=nonsense', 'json'],
  ['application/msgpack;q=0.2, application/msgpack;records=1;q=0.8', 'records'],
])('%j asks for %s', (accept, expected) => {
  expect(encodingOf(accept)).toBe(expected);
});
