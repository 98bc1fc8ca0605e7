import type { EmitEvent, GatewayEvent, TraceContext } from '@open-autoglm/protocol';
import type { Followed } from '../common/followed.ts';
import type { RequestStart } from '../common/request-start.ts';
import type { SegmentReading } from './bottleneck/baselines.ts';
import type { Diagnoser } from './bottleneck/diagnoser.ts';
import { NextTurn } from './next-turn.ts';
import { beginAll, tell, type Observer, type OnObserverFailure, type RequestObserver } from './observer.ts';
import { RequestProfile, wantsTime } from './profile/request-profile.ts';
import { clientTraceContext } from './trace-context.ts';

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
export function createFollower({ observers, onStart = () => {}, onProfile = () => {}, diagnoser, onFailure = () => {}, now = () => performance.now() }: FollowerParts): (start: RequestStart) => Followed {
  const parts = { observers, onProfile, diagnoser, onFailure, now, nextTurn: new NextTurn() };
  return (start) => {
    onStart();
    return new Following(parts, start);
  };
}

type FollowingParts = Required<Pick<FollowerParts, 'observers' | 'onProfile' | 'onFailure' | 'now'>> & Pick<FollowerParts, 'diagnoser'> & { readonly nextTurn: NextTurn };

/** One request and those who follow it. */
class Following implements Followed {
  readonly timings: RequestProfile;
  readonly #parts: FollowingParts;
  readonly #observers: RequestObserver[];

  constructor(parts: FollowingParts, start: RequestStart) {
    this.#parts = parts;
    this.timings = new RequestProfile(start, parts.now, parts.diagnoser);
    this.#observers = beginAll(parts.observers, start, parts.onFailure);
    this.timings.traceContext = this.#observers.find((observer) => observer.traceContext)?.traceContext ?? clientTraceContext(start);
  }

  readonly traceContext = (): TraceContext | undefined => {
    const { timings } = this;
    if (timings.traceContext) return timings.traceContext;
    for (const observer of this.#parts.observers) timings.traceContext ??= observer.unfollowedContext?.(timings.start);
    return timings.traceContext;
  };

  readonly emit: EmitEvent = (event) => {
    const { timings } = this;
    // Nothing comes after the end; a stage that says more of a request that is over is not heard.
    if (timings.endedAtMs !== undefined) return;
    // Most requests have no observers, and of most events nobody else wants to know when: a look at the clock for each was half a percent of a request.
    const atMs = this.#observers.length > 0 || wantsTime(event) ? this.#parts.now() : NaN;
    timings.on(event, atMs);
    if (event.type === 'request-end') this.#end(event, atMs);
    else tell(this.#observers, event, atMs, this.#parts.onFailure);
  };

  #end(event: GatewayEvent, atMs: number): void {
    const slow = this.#parts.diagnoser?.judge(this.timings);
    // V8 tells of its pauses one turn of the loop later; only a request that was slow has to wait for that.
    if (slow) this.#parts.nextTurn.add(() => this.#explain(slow, event, atMs));
    else this.#finish(event, atMs);
  }

  #explain(slow: SegmentReading, event: GatewayEvent, atMs: number): void {
    const bottleneck = { type: 'bottleneck', ...(this.#parts.diagnoser as Diagnoser).explain(this.timings, slow) } as const;
    this.timings.on(bottleneck, atMs);
    tell(this.#observers, bottleneck, atMs, this.#parts.onFailure);
    this.#finish(event, atMs);
  }

  #finish(event: GatewayEvent, atMs: number): void {
    tell(this.#observers, event, atMs, this.#parts.onFailure);
    try {
      this.#parts.onProfile(this.timings);
    } catch (error) {
      this.#parts.onFailure(error);
    }
  }
}
