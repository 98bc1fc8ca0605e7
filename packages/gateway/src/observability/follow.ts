import type { EmitEvent, GatewayEvent, TraceContext } from '@open-autoglm/protocol';
import type { Followed } from '../common/followed.ts';
import type { RequestStart } from '../common/request-start.ts';
import type { Diagnoser } from './bottleneck/diagnoser.ts';
import { Later } from './later.ts';
import { beginAll, tell, type Observer, type OnObserverFailure, type RequestObserver } from './observer.ts';
import { RequestProfile, wantsTime } from './profile/request-profile.ts';
import { clientTraceContext } from './trace-context.ts';

export interface FollowerParts {
  /** Told every event as it happens, and the end with the profile. */
  readonly observers: readonly Observer[];
  readonly onStart?: () => void;
  /** Told once for each request, at its end. */
  readonly onEnd?: (profile: RequestProfile) => void;
  /** Told once for each request, some time after its end, with what made it slow. For those who need no single events: it costs less. */
  readonly onProfile?: (profile: RequestProfile) => void;
  /** Names what made requests slow; absent: nobody asks. */
  readonly diagnoser?: Diagnoser | undefined;
  /** Told what an observer threw. */
  readonly onFailure?: OnObserverFailure;
  readonly now?: () => number;
}

export interface Follower {
  readonly follow: (start: RequestStart) => Followed;
  /** Tells of all requests that are over. V8 tells of its pauses one turn of the loop after them. */
  settle(): void;
  /** As `settle`, and tells of each that is over later at once. */
  close(): void;
}

/** Requests that are over and settled together, and how long one waits for others. */
const together = { countMax: 64, delayMs: 50 } as const;

/** Follows requests: their own timings, and everybody who subscribes. */
export function createFollower({
  observers,
  onStart = () => {},
  onEnd = () => {},
  onProfile = () => {},
  diagnoser,
  onFailure = () => {},
  now = () => performance.now(),
}: FollowerParts): Follower {
  const over = new Later<Following>((following) => following.settle(), { ...together, onFailure });
  const parts = { observers, onEnd, onProfile, diagnoser, onFailure, now, over };
  return {
    follow(start) {
      onStart();
      return new Following(parts, start);
    },
    settle: () => over.flush(),
    close: () => over.close(),
  };
}

type FollowingParts = Required<Pick<FollowerParts, 'observers' | 'onEnd' | 'onProfile' | 'onFailure' | 'now'>> &
  Pick<FollowerParts, 'diagnoser'> & { readonly over: Later<Following> };
type RequestEnd = Extract<GatewayEvent, { type: 'request-end' }>;

/** One request and those who follow it. */
class Following implements Followed {
  readonly timings: RequestProfile;
  readonly #parts: FollowingParts;
  readonly #observers: RequestObserver[];
  #end: RequestEnd | undefined;

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
    // Nothing comes after the end; a stage that says more of a request that is over is not heard.
    if (this.#end) return;
    // Most requests have no observers, and of most events nobody else wants to know when: a look at the clock for each was half a percent
    // of a request.
    const atMs = this.#observers.length > 0 || wantsTime(event) ? this.#parts.now() : NaN;
    this.timings.on(event, atMs);
    if (event.type === 'request-end') this.#finish(event);
    else tell(this.#observers, event, atMs, this.#parts.onFailure);
  };

  /** What is told some time after the end: what made the request slow, the end itself, the profile. */
  settle(): void {
    const { timings } = this;
    const { diagnoser, onProfile, onFailure } = this.#parts;
    const atMs = timings.endedAtMs as number;
    const slow = diagnoser?.judge(timings);
    if (diagnoser && slow) {
      const bottleneck = { type: 'bottleneck', ...diagnoser.explain(timings, slow) } as const;
      timings.on(bottleneck, atMs);
      tell(this.#observers, bottleneck, atMs, onFailure);
    }
    tell(this.#observers, this.#end as RequestEnd, atMs, onFailure);
    onProfile(timings);
  }

  #finish(end: RequestEnd): void {
    this.#end = end;
    this.#parts.over.add(this);
    this.#parts.onEnd(this.timings);
  }
}
