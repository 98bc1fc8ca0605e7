import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { defaultConfig } from '../../../src/main.ts';
import { startTracing, type Tracing } from '../../../src/observability/traces/tracing.ts';
import { DropCounter } from '../../../src/observability/sinks/drop-counter.ts';
import { chatBody, startTestServer, until } from '../../support.ts';
import { startCollector, startRawCollector } from './collector.ts';

const queue = { spansMax: 20, batchMax: 10, delayMs: 5, timeoutMs: 200 };
/** For collectors that do answer, however busy the machine is. */
const patience = { timeoutMs: 20_000 };

interface Trial {
  readonly tracing: Tracing;
  readonly drops: DropCounter;
  /** What would be in the log. */
  readonly told: string[];
}

function trace(endpoint: string, options: Partial<typeof queue> = {}): Trial {
  const told: string[] = [];
  const drops = new DropCounter(
    (reason) => told.push(reason),
    (count) => told.push(`${count} lost`),
  );
  const config = { ...defaultConfig.observability.traces, enabled: true, endpoint };
  return { told, drops, tracing: startTracing({ config, drops, isModel: () => true, queue: { ...queue, ...options } }) };
}

/** A request that is over at once, and leaves one span. */
function request(tracing: Tracing): void {
  const observer = tracing.begin({
    requestId: 'one',
    operation: 'chat',
    startedAtMs: performance.now(),
    traceparent: undefined,
    tracestate: undefined,
  });
  observer?.on({ type: 'request-end', outcome: 'answered', status: 200 }, performance.now());
}

/** An address where nobody listens. */
async function deadEndpoint(): Promise<string> {
  const collector = await startCollector();
  await collector[Symbol.asyncDispose]();
  return collector.endpoint;
}

const garbage = {
  'answers in no HTTP': 'this is not HTTP at all\r\n\r\n',
  'hangs up in mid-answer': 'HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{"par',
  'says nothing': '',
  'sends elsewhere': 'HTTP/1.1 307 Temporary Redirect\r\nlocation: /\r\ncontent-length: 0\r\n\r\n',
} as const;

describe('a collector that', () => {
  it.each(Object.entries(garbage))('%s costs its spans and nothing else', async (_, says) => {
    await using collector = await startRawCollector(says);
    const { tracing, drops, told } = trace(collector.endpoint);
    for (let index = 0; index < 3; index += 1) request(tracing);
    await until(() => drops.count === 3);
    expect(told).toHaveLength(1);
    expect(tracing.waiting).toBe(0);
    await tracing.close(1000);
  });

  it.each([400, 404, 500])('answers %i is not asked again for the same spans', async (status) => {
    await using collector = await startCollector((response) => void response.writeHead(status).end('no'));
    const { tracing, drops, told } = trace(collector.endpoint, patience);
    request(tracing);
    await until(() => drops.count === 1);
    expect(told).toEqual([`the collector answered ${status}`]);
    expect(collector.requestCount).toBe(1);
    await tracing.close(1000);
  });

  it('answers 503 is asked again', async () => {
    await using collector = await startCollector((response, index) => void response.writeHead(index === 0 ? 503 : 200).end('{}'));
    const { tracing, drops } = trace(collector.endpoint, patience);
    request(tracing);
    await until(() => collector.requestCount === 2);
    await tracing.close(1000);
    expect(drops.count).toBe(0);
    expect(collector.bodies[0]).toBe(collector.bodies[1]);
  });

  it('is dead is waited for in a queue that does not grow', async () => {
    const { tracing, drops, told } = trace(await deadEndpoint());
    for (let index = 0; index < 500; index += 1) {
      request(tracing);
      expect(tracing.waiting).toBeLessThanOrEqual(queue.spansMax);
      if (index % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await tracing.close(50);
    expect(drops.count).toBe(500);
    expect(told).toHaveLength(1);
  });

  it('is dead at every address of its name has the reason told', async () => {
    const { tracing, drops, told } = trace((await deadEndpoint()).replace('127.0.0.1', 'localhost'));
    request(tracing);
    await tracing.close(50);
    expect(drops.count).toBe(1);
    expect(told).toEqual([expect.stringContaining('ECONNREFUSED')]);
  });

  it('never answers is left after a while, and at once when all closes', async () => {
    await using collector = await startCollector(() => {});
    const { tracing, drops, told } = trace(collector.endpoint, { timeoutMs: 20 });
    request(tracing);
    await until(() => drops.count === 1);
    expect(told).toEqual(['no answer within 10 ms']);
    const patient = trace(collector.endpoint, { timeoutMs: 60_000 });
    request(patient.tracing);
    await until(() => collector.requestCount === 2);
    await patient.tracing.close(1);
    expect(patient.drops.count).toBe(1);
    await tracing.close(1);
  });

  it('drips its answer without end is left too', async () => {
    await using collector = await startCollector((response) => {
      const timer = setInterval(() => response.write(' '), 2);
      response.on('close', () => clearInterval(timer)).on('error', () => {});
    });
    const { tracing, drops } = trace(collector.endpoint, { timeoutMs: 60 });
    request(tracing);
    await until(() => drops.count === 1);
    await tracing.close(1000);
  });

  it('floods is not listened to', async () => {
    let isClosed = false;
    await using collector = await startCollector((response) => {
      const flood = () => {
        while (!response.destroyed && response.write('x'.repeat(65_536)));
      };
      response
        .on('drain', flood)
        .on('close', () => (isClosed = true))
        .on('error', () => {});
      flood();
    });
    const { tracing, drops } = trace(collector.endpoint, { timeoutMs: 60_000 });
    request(tracing);
    await until(() => isClosed);
    await tracing.close(1000);
    expect(drops.count).toBe(0);
  });

  it('refuses some spans has them counted', async () => {
    await using collector = await startCollector(
      (response) => void response.writeHead(200).end('{"partialSuccess":{"rejectedSpans":"2"}}'),
    );
    const { tracing, drops, told } = trace(collector.endpoint, patience);
    for (let index = 0; index < 3; index += 1) request(tracing);
    await tracing.close(1000);
    expect(drops.count).toBe(2);
    expect(told[0]).toBe('the collector refused them');
  });

  it('comes back is told what was lost, once', async () => {
    let isUp = false;
    await using collector = await startCollector((response) => void response.writeHead(isUp ? 200 : 500).end('{}'));
    const { tracing, drops, told } = trace(collector.endpoint, patience);
    for (let index = 0; index < 3; index += 1) request(tracing);
    await until(() => drops.count === 3);
    isUp = true;
    request(tracing);
    await until(() => told.length === 2);
    expect(told).toEqual(['the collector answered 500', '3 lost']);
    await tracing.close(1000);
  });
});

describe('requests', () => {
  it('are answered as ever while the collector is dead, and the loss is in /metrics', async () => {
    const traces = { ...defaultConfig.observability.traces, enabled: true, endpoint: await deadEndpoint() };
    const server = await startTestServer({}, {}, {}, { traces });
    const before = await (await fetch(`${server.url}/metrics`)).text();
    expect(before).toContain('autoglm_trace_spans_dropped_total 0');
    for (let index = 0; index < 20; index += 1) expect((await server.post('/v1/chat/completions', chatBody)).status).toBe(200);
    await server.gateway.drain();
  });

  it('know nothing of traces that are off', async () => {
    await using server = await startTestServer();
    expect(await (await fetch(`${server.url}/metrics`)).text()).not.toContain('spans_dropped');
  });
});

it('the process may end while a collector hangs', async () => {
  await using collector = await startCollector(() => {});
  const { fork } = await import('node:child_process');
  const child = fork(new URL('./trace-and-leave.ts', import.meta.url), [collector.endpoint], { execArgv: [] });
  const exited = once(child, 'exit');
  await until(() => collector.requestCount === 1);
  child.send('leave');
  expect(await exited).toEqual([0, null]);
});
