import fc from 'fast-check';
import type { GatewayRequest } from '@open-autoglm/protocol';
import { describe, expect, it } from 'vitest';
import { requestKey } from '../../src/response-cache/request-key.ts';
import { identity, testRequest } from './support.ts';

/** Fields, and another value of each. One that is not known here is part of the key by itself. */
const others: { readonly [K in keyof GatewayRequest]?: GatewayRequest[K] | 'not in the key' } = {
  input: { kind: 'chat', messages: [{ role: 'user', content: 'ho' }] },
  prompts: [{ tokens: [1] }],
  tenant: 'another',
  choiceCount: 2,
  sampling: { temperature: 0, seed: 1 },
  maxTokens: 5,
  stop: ['x'],
  topLogprobs: 0,
  responseFormat: { type: 'json_object' },
  tools: [{ name: 'f' }],
  toolChoice: 'required',
  parallelToolCalls: false,
  grammar: { kind: 'literal', text: 'x' },
  contextStrategy: { kind: 'full' },
  attention: true,
  labels: { a: 'b' } as unknown as GatewayRequest['labels'],
  fit: true as unknown as GatewayRequest['fit'],
  id: 'not in the key',
  model: 'not in the key',
  stream: 'not in the key' as never,
  lane: 'not in the key' as never,
  deadlineAtMs: 'not in the key',
  standing: 'not in the key',
  cache: 'not in the key',
  client: 'not in the key',
  traceContext: 'not in the key',
  body: 'not in the key',
  signal: 'not in the key',
  emit: 'not in the key',
};

describe('the key of a request', () => {
  it.each(Object.entries(others).filter(([, other]) => other !== 'not in the key'))('changes with %s', (field, other) => {
    expect(requestKey({ ...testRequest(), [field]: other }, identity)).not.toBe(requestKey(testRequest(), identity));
  });

  it('changes with a field that nobody knows yet', () => {
    expect(requestKey({ ...testRequest(), invented: 1 } as GatewayRequest, identity)).not.toBe(requestKey(testRequest(), identity));
  });

  it('does not change with what the answer does not depend on', () => {
    const request = {
      ...testRequest(),
      id: 'other',
      model: 'alias',
      stream: false,
      lane: 'batch' as const,
      cache: { mode: 'on' as const },
      client: { address: '::1', session: 's' },
    };
    expect(requestKey(request, identity)).toBe(requestKey(testRequest(), identity));
  });

  it.each([{ name: 'n' }, { fingerprint: 'f' }])('changes with the model: %j', (change) => {
    expect(requestKey(testRequest(), { ...identity, ...change })).not.toBe(requestKey(testRequest(), identity));
  });

  it('holds what another server is told, and only there', () => {
    const read = testRequest();
    const withBody = (fields: object) => ({ ...testRequest(), body: { fields: { model: 'a', stream: true, ...fields }, read } });
    const remote = { ...identity, takesPrompts: false };
    const key = (fields: object, model = remote) => requestKey(withBody(fields), model);
    expect(key({ guided: 'x' })).not.toBe(key({}));
    expect(key({ user: 'x' })).not.toBe(key({}));
    expect(key({ stream_options: { include_usage: true } })).toBe(key({}));
    expect(key({ stream_options: { chunks: 3 } })).not.toBe(key({}));
    expect(key({ guided: 'x' }, identity)).toBe(key({}, identity));
  });

  it('is the same for two requests only where all that counts is the same (fuzzed)', () => {
    const words = fc.oneof(
      fc.constantFrom('', 'a', '"', '\\', ',', ']', '\u0000', 'null', '0', '你'),
      fc.string({ unit: 'binary', maxLength: 6 }),
    );
    const message = fc.record(
      { role: fc.constantFrom('user' as const, 'system' as const), content: words },
      { requiredKeys: ['role', 'content'] },
    );
    const request = fc.record({
      tenant: words,
      input: fc.oneof(
        fc.record({ kind: fc.constant('chat' as const), messages: fc.array(message, { minLength: 1, maxLength: 3 }) }),
        fc.record({
          kind: fc.constant('completion' as const),
          prompts: fc.array(fc.oneof(words, fc.array(fc.nat(9), { maxLength: 3 })), { minLength: 1, maxLength: 3 }),
        }),
      ),
      maxTokens: fc.option(fc.nat(3), { nil: undefined }),
      stop: fc.array(words, { maxLength: 2 }),
      topLogprobs: fc.option(fc.nat(2), { nil: undefined }),
      sampling: fc.record(
        {
          temperature: fc.constantFrom(0, 1),
          seed: fc.nat(2),
          logitBias: fc.dictionary(fc.constantFrom('1', '2'), fc.constantFrom(-1, 1)),
        },
        { requiredKeys: [] },
      ),
    });
    const seen = new Map<string, string>();
    const normal = (value: unknown) => JSON.stringify(value, (_, own: unknown) => (own === undefined ? null : own));
    fc.assert(
      fc.property(request, (made) => {
        const key = requestKey(testRequest(made), identity);
        const form = normal(made);
        const before = seen.get(key);
        if (before !== undefined) expect(before).toBe(form);
        seen.set(key, form);
      }),
      { numRuns: 5000 },
    );
    expect(new Set(seen.values()).size).toBe(seen.size);
  });
});
