import type { StreamPart } from '@open-autoglm/protocol';
import { describe, expect, it } from 'vitest';
import { answerCodec } from '../../src/response-cache/answer-codec.ts';
import type { AnswerEntry } from '../../src/response-cache/answer-entry.ts';

const end: StreamPart = { type: 'text-end', index: 0, finishReason: 'stop', completionTokens: 1, decodeMs: 0, wire: { stop_reason: null } };
const parts: readonly StreamPart[] = [
  { type: 'prompt-end', index: 0, promptTokens: 3, cachedTokens: 3, queueMs: 0, prefillMs: 0 },
  { type: 'text-start', index: 1 },
  {
    type: 'text-delta',
    index: 0,
    text: 'a',
    tokenCount: 1,
    logprobs: [{ token: 'a', bytes: [97], logprob: -0.5, top: [{ token: 'b', bytes: [98], logprob: -1 }] }],
  },
  { type: 'reasoning-delta', index: 1, text: '', tokenCount: 0, field: 'reasoning' },
  { type: 'wire-delta', index: 1, delta: { tool_calls: [] }, choice: {}, answer: { system_fingerprint: 'f' } },
  end,
  { type: 'usage', index: 0, promptTokens: 3, cachedTokens: 3, completionTokens: 1, source: 'engine', wire: { prompt_tokens: 3 } },
];
const entryOf = (some: readonly unknown[], more: object = {}) =>
  ({
    tenant: '',
    model: 'm',
    engine: 'e',
    tier: 'edge',
    form: 'any',
    keptAtMs: 1,
    expiresAtMs: 2,
    goneAtMs: 3,
    computeMs: 4,
    parts: some,
    ...more,
  }) as AnswerEntry;

describe('answers in Redis', () => {
  it('come back as they were', () => {
    expect(answerCodec.decode(answerCodec.encode(entryOf(parts)))).toEqual(entryOf(parts));
  });

  it.each<[string, readonly unknown[]]>([
    ['has no part', []],
    ['has no end', parts.slice(0, 3)],
    ['has a part that is none', [end, null]],
    ['has a part of an unknown type', [end, { type: 'toString', index: 0 }]],
    ['has a choice beyond all others', [end, { ...end, index: 4_000_000_000 }]],
    ['has a text without its tokens', [end, { type: 'text-delta', index: 0, text: 'a' }]],
    ['has probabilities that are none', [end, { type: 'text-delta', index: 0, text: 'a', tokenCount: 1, logprobs: 5 }]],
    ['has words of another server that are none', [end, { type: 'wire-delta', index: 0 }]],
    ['ends for no reason', [{ ...end, finishReason: undefined }]],
    ['counts what cannot be', [{ ...end, completionTokens: -1 }]],
    ['has a usage without numbers', [end, { type: 'usage', index: 0 }]],
  ])('are none where one %s', (_, some) => {
    expect(answerCodec.decode(JSON.stringify(entryOf(some)))).toBeUndefined();
  });

  it.each([{ tenant: 1 }, { form: 'half' }, { goneAtMs: null }, { parts: {} }])('are none where they say %j', (more) => {
    expect(answerCodec.decode(JSON.stringify(entryOf(parts, more)))).toBeUndefined();
  });
});
