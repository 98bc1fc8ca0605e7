import { describe, expect, it } from 'vitest';
import { startTestServer } from '../support.ts';

const client = 'client-00000001';
const batch = (sequence: number, events: object[] = [{ name: 'tap', count: 2, sum: 1.5 }]) => ({ sequence, events });

describe('events', () => {
  it('are counted once and shown in metrics', async () => {
    await using server = await startTestServer();
    const send = async (...batches: object[]) => (await server.post('/v1/events', { client_id: client, batches })).json();
    expect(await send(batch(1))).toEqual({ object: 'events', accepted: 1, duplicates: 0 });
    expect(await send(batch(1), batch(2, [{ name: 'open', count: 1 }]))).toEqual({ object: 'events', accepted: 1, duplicates: 1 });
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    expect(metrics).toContain('autoglm_client_events_total{event="tap"} 2\n');
    expect(metrics).toContain('autoglm_client_events_total{event="open"} 1\n');
    expect(metrics).toContain('autoglm_client_event_value_total{event="tap"} 1.5\n');
  });

  it.each<[object, string]>([
    [{ batches: [batch(1)] }, 'client_id'],
    [{ client_id: 'short', batches: [batch(1)] }, 'client_id'],
    [{ client_id: client, batches: [] }, 'batches'],
    [{ client_id: client, batches: Array.from({ length: 65 }, (_, index) => batch(index + 1)) }, 'batches'],
    [{ client_id: client, batches: [batch(0)] }, 'batches[0].sequence'],
    [{ client_id: client, batches: [batch(2), batch(2)] }, 'batches[1].sequence'],
    [{ client_id: client, batches: [batch(1, [{ name: 'a b', count: 1 }])] }, 'batches[0].events[0].name'],
    [{ client_id: client, batches: [batch(1, [{ name: 'a', count: 0 }])] }, 'batches[0].events[0].count'],
    [{ client_id: client, batches: [batch(1, [{ name: 'a', count: 1, sum: -1 }])] }, 'batches[0].events[0].sum'],
    [{ client_id: client, batches: [batch(1, [{ name: 'a', count: 1, more: 1 }])] }, 'batches[0].events[0].more'],
    [{ client_id: client, batches: [batch(1)], more: 1 }, 'more'],
  ])('are refused where they make no sense: %j', async (body, param) => {
    await using server = await startTestServer();
    const refused = await server.post('/v1/events', body);
    expect([refused.status, ((await refused.json()) as { error: { param: unknown } }).error.param]).toEqual([400, param]);
  });
});
