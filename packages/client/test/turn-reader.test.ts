import { expect, it } from 'vitest';
import { TurnReader } from '../src/turn-reader.ts';

function turnOf(...calls: unknown[]): object | undefined {
  const turn = new TurnReader();
  for (const call of calls) turn.add({ tool_calls: [call] });
  return turn.message();
}

const called = (name: string, text: string, id = '') => ({ id, type: 'function', function: { name, arguments: text } });

it('joins the pieces of calls, wherever a server begins to count', () => {
  const pieces = [
    { index: 2, id: 'b', function: { name: 'g', arguments: '' } },
    { index: -1, id: 'a', function: { name: 'f' } },
    { index: 2 ** 32, function: { name: 'h' } },
    { index: 2, function: { arguments: '{}' } },
  ];
  expect(turnOf(...pieces)).toEqual({
    role: 'assistant',
    content: null,
    tool_calls: [called('f', '', 'a'), called('g', '{}', 'b'), called('h', '')],
  });
});

it.each([null, 5, { index: '__proto__', id: 5, function: null }, { index: 'length', function: { name: {}, arguments: [] } }])(
  'takes what is no call for an empty one, as the server does: %j',
  (piece) => {
    expect(turnOf(piece)).toEqual({ role: 'assistant', content: null, tool_calls: [called('', '')] });
  },
);
