import type { EmitEvent, TraceContext } from '@open-autoglm/protocol';
import type { AnswerTimings } from './exchange.ts';

/** A request under observation. */
export interface Followed {
  readonly emit: EmitEvent;
  readonly timings: AnswerTimings;
  /** Made when it is first asked for: few requests are sent on. */
  readonly traceContext: () => TraceContext | undefined;
}
