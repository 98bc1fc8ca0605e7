import type { EmitEvent, GatewayEvent, TraceContext } from '@open-autoglm/protocol';
import type { AnswerTimings } from '../common/exchange.ts';
import type { RequestStart } from '../common/request-start.ts';
import type { SegmentReading } from './bottleneck/baselines.ts';
import type { Diagnoser } from './bottleneck/diagnoser.ts';
import { beginAll, tell, type Observer, type OnObserverFailure } from './observer.ts';
import { RequestProfile } from './profile/request-profile.ts';
import { clientTraceContext } from './trace-context.ts';

/** A request under observation. */
export interface Followed {
  readonly emit: EmitEvent;
  readonly timings: AnswerTimings;
  readonly traceContext: TraceContext | undefined;
}

export interface FollowerParts {
  /** Told every event, as it happens. */
  readonly observers: readonly Observer[];
  readonly onStart?: () => void;
  /** Told once for each request, after its end. For those who need no single events: it costs less. */
  readonly onProfile?: (profile: RequestProfile) => void;
  /** Names what made requests slow; absent: nobody asks. */
  readonly diagnoser?: Diagnoser | undefined;
  /** Told what an observer threw. */
  readonly onFailure?: OnObserverFailure;
  readonly now?: () => number;
}

/** Follows requests: their own timings, and everybody who subscribes. */
export function createFollower(parts: FollowerParts): (start: RequestStart) => Followed {
  const { observers, onStart = () => {}, onProfile = () => {}, diagnoser, onFailure = () => {}, now = () => performance.now() } = parts;
  return (start) => {
    onStart();
    const profile = new RequestProfile(start, now);
    const following = beginAll(observers, start, onFailure);
    const traceContext = following.find((observer) => observer.traceContext)?.traceContext ?? clientTraceContext(start);
    profile.traceContext = traceContext;
    const finish = (event: GatewayEvent, atMs: number) => {
      tell(following, event, atMs, onFailure);
      try {
        onProfile(profile);
      } catch (error) {
        onFailure(error);
      }
    };
    const explain = (slow: SegmentReading, event: GatewayEvent, atMs: number) => {
      const bottleneck = { type: 'bottleneck', ...(diagnoser as Diagnoser).explain(profile, slow) } as const;
      profile.on(bottleneck, atMs);
      tell(following, bottleneck, atMs, onFailure);
      finish(event, atMs);
    };
    const emit: EmitEvent = (event) => {
      // Nothing comes after the end; a stage that says more of a request that is over is not heard.
      if (profile.endedAtMs !== undefined) return;
      const atMs = now();
      profile.on(event, atMs);
      if (event.type !== 'request-end') return tell(following, event, atMs, onFailure);
      // V8 tells of its pauses one turn of the loop later; only a request that was slow has to wait for that.
      const slow = diagnoser?.judge(profile);
      if (slow) setImmediate(explain, slow, event, atMs);
      else finish(event, atMs);
    };
    return { emit, timings: profile, traceContext };
  };
}
