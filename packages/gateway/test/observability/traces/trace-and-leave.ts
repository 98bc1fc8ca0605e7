/**
 * A program that leaves a span to a collector that hangs, gives it 1 ms once it is told that the span is there, and has nothing else to do.
 */
import { once } from 'node:events';
import { defaultConfig } from '../../../src/config/schema.ts';
import { DropCounter } from '../../../src/observability/sinks/drop-counter.ts';
import { startTracing } from '../../../src/observability/traces/tracing.ts';

const config = { ...defaultConfig.observability.traces, endpoint: process.argv[2] as string };
const tracing = startTracing({
  config,
  drops: new DropCounter(
    () => {},
    () => {},
  ),
  isModel: () => true,
  queue: { delayMs: 1 },
});
const observer = tracing.begin({
  requestId: 'one',
  operation: 'chat',
  startedAtMs: performance.now(),
  traceparent: undefined,
  tracestate: undefined,
});
observer?.on({ type: 'request-end', outcome: 'answered', status: 200 }, performance.now());
await once(process, 'message');
await tracing.close(1);
process.disconnect();
