import type { GatewayEvent } from '@open-autoglm/protocol';
import fc from 'fast-check';
import type { RequestStart } from '../../src/common/request-start.ts';

export const start: RequestStart = {
  requestId: 'r-1',
  operation: 'chat',
  startedAtMs: 1000,
  traceparent: undefined,
  tracestate: undefined,
};

const durationMs = fc.double({ min: 0, max: 1e5, noNaN: true });
const choice = fc.nat({ max: 3 });
const tokens = fc.nat({ max: 5000 });

/** Any event but the last. */
export const anyEvent: fc.Arbitrary<GatewayEvent> = fc.oneof(
  fc.record({
    type: fc.constant('request-parsed' as const),
    model: fc.string(),
    stream: fc.boolean(),
    maxTokens: fc.option(tokens, { nil: undefined }),
    choiceCount: fc.integer({ min: 1, max: 4 }),
  }),
  fc.record({
    type: fc.constant('segment-end' as const),
    segment: fc.constantFrom('prejudge' as const, 'input' as const, 'cache' as const, 'output' as const, 'upstream' as const),
    durationMs,
    reason: fc.constantFrom('body', 'model', 'client'),
  }),
  fc.record({
    type: fc.constant('segment-end' as const),
    segment: fc.constantFrom('queue' as const, 'prefill' as const, 'decode' as const),
    durationMs,
    choice,
  }),
  fc.record({
    type: fc.constant('cache-lookup' as const),
    result: fc.constantFrom('miss' as const, 'exact' as const, 'semantic' as const, 'inflight' as const),
  }),
  fc.record({ type: fc.constant('engine-chosen' as const), engine: fc.string(), tier: fc.string(), reason: fc.string() }),
  fc.record({ type: fc.constant('prompt-end' as const), choice, promptTokens: tokens, cachedTokens: tokens }),
  fc.constant({ type: 'first-token' as const }),
  fc.record({
    type: fc.constant('choice-end' as const),
    choice,
    finishReason: fc.constantFrom('stop', 'length'),
    completionTokens: tokens,
  }),
  fc.record({
    type: fc.constant('bottleneck' as const),
    segment: fc.constantFrom('queue' as const, 'output' as const),
    cause: fc.constantFrom('queueing' as const, 'io' as const),
    detail: fc.string(),
    durationMs,
    expectedMs: durationMs,
  }),
);

export const anyEnd: fc.Arbitrary<GatewayEvent> = fc.oneof(
  fc.constant({ type: 'request-end' as const, outcome: 'answered' as const, status: 200 }),
  fc.constant({ type: 'request-end' as const, outcome: 'failed' as const, status: 429, code: 'queue_full' }),
  fc.constant({ type: 'request-end' as const, outcome: 'abandoned' as const, status: 499, code: 'client_closed_request' }),
);

/** The events of one request in any order, with its end last. */
export const anyRequest: fc.Arbitrary<readonly GatewayEvent[]> = fc
  .tuple(fc.array(anyEvent, { maxLength: 30 }), anyEnd)
  .map(([events, end]) => [...events, end]);
