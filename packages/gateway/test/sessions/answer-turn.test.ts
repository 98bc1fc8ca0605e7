import type { StreamPart } from '@open-autoglm/protocol';
import { expect, it } from 'vitest';
import { AnswerTurn } from '../../src/ingress/sessions/answer-turn.ts';

function turnOf(...calls: unknown[]): object | undefined {
  const turn = new AnswerTurn();
  for (const call of calls)
    turn.add({ type: 'wire-delta', index: 0, delta: { tool_calls: [call] }, choice: {}, answer: {} } satisfies StreamPart);
  return turn.message();
}

const called = (name: string, text: string, id = '') => ({ id, type: 'function', function: { name, arguments: text } });

it('joins the pieces of calls, wherever a server begins to count', () => {
  const pieces = [
    { index: 2, id: 'b', function: { name: 'g', arguments: '' } },
    { index: 1, id: 'a', function: { name: 'f' } },
    { index: 2, function: { arguments: '{}' } },
  ];
  expect(turnOf(...pieces)).toEqual({ role: 'assistant', content: null, tool_calls: [called('f', '', 'a'), called('g', '{}', 'b')] });
});

it.each([-1, 2 ** 32])('keeps a call that stands alone at an index of no array: %i', (index) => {
  expect(turnOf({ index, id: 'a', function: { name: 'f', arguments: '{}' } })).toEqual({
    role: 'assistant',
    content: null,
    tool_calls: [called('f', '{}', 'a')],
  });
});

it.each([null, 5, { index: '__proto__', id: 5, function: null }, { index: 'length', function: { name: {}, arguments: [] } }])(
  'takes what is no call for an empty one, and touches nothing else: %j',
  (piece) => {
    const before = Object.getOwnPropertyNames(Array.prototype);
    expect(turnOf(piece)).toEqual({ role: 'assistant', content: null, tool_calls: [called('', '')] });
    expect(Object.getOwnPropertyNames(Array.prototype)).toEqual(before);
  },
);
