import type { TraceContext } from '@open-autoglm/protocol';
import type { RequestStart } from '../common/request-start.ts';

/** Version 00 of W3C Trace Context; ids of zeros alone are not valid. */
const traceparent = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;
/** The specification's least that everybody passes on. */
const tracestateLengthMax = 512;

/** The client's own context where nobody here traces: who takes no part in a trace passes it on as it came (W3C Trace Context, 2.2). */
export function clientTraceContext(start: RequestStart): TraceContext | undefined {
  if (start.traceparent === undefined || !traceparent.test(start.traceparent)) return undefined;
  const hasState = start.tracestate !== undefined && start.tracestate.length <= tracestateLengthMax;
  return { traceparent: start.traceparent, ...(hasState && { tracestate: start.tracestate as string }) };
}
