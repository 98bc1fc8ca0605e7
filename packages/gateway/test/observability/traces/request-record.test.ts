import type { GatewayEvent } from '@open-autoglm/protocol';
import { expect, it } from 'vitest';
import { RequestProfile } from '../../../src/observability/profile/request-profile.ts';
import { RequestRecord } from '../../../src/observability/traces/request-record.ts';
import { start } from '../events.ts';

it('keeps no more of a request whose client is waited for again and again, and all of the time', () => {
  let ended = 0;
  const ids = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' };
  const record = new RequestRecord({
    start,
    parent: undefined,
    ...ids,
    traceContext: { traceparent: `00-${ids.traceId}-${ids.spanId}-01` },
    onEnd: () => (ended += 1),
  });
  const waits = 100_000;
  for (let count = 1; count <= waits; count += 1)
    record.on({ type: 'segment-end', segment: 'output', durationMs: 1, reason: 'client' }, start.startedAtMs + count);
  record.on({ type: 'request-end', outcome: 'answered', status: 200 }, start.startedAtMs + waits);
  expect(ended).toBe(1);
  const told: GatewayEvent[] = [];
  const profile = new RequestProfile(start, () => 0);
  record.replay({
    on: (event, atMs) => {
      told.push(event);
      profile.on(event, atMs);
    },
  });
  expect(told.length).toBeLessThan(5000);
  expect(told.at(-1)?.type).toBe('request-end');
  expect(profile.spentOn('output', 'client')).toBe(waits);
});
