/** A program that leaves a span to a collector that hangs, gives it 1 ms, and has nothing else to do. */
import { defaultConfig } from '../../../src/config/schema.ts';
import { DropCounter } from '../../../src/observability/sinks/drop-counter.ts';
import { startTracing } from '../../../src/observability/traces/tracing.ts';

const config = { ...defaultConfig.observability.traces, endpoint: process.argv[2] as string };
const tracing = startTracing({ config, drops: new DropCounter(() => {}, () => {}), isModel: () => true });
const observer = tracing.begin({ requestId: 'one', operation: 'chat', startedAtMs: performance.now(), traceparent: undefined, tracestate: undefined });
observer?.on({ type: 'request-end', outcome: 'answered', status: 200 }, performance.now());
await tracing.close(200);
process.disconnect();
