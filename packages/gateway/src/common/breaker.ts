/**
 * A circuit breaker (Nygard 2007) as a pure function of what happened and when. `closed`: requests go through; `opened` is how often it
 * was open since the last whole answer. `open`: none does until `untilMs`. Then one, the probe, may try (`probing`); its outcome closes
 * the breaker or opens it for longer. A probe that has no outcome yet, such as a whole answer that is long, gives way to another after
 * the same time: it must not keep everybody out of a replica that works.
 */
export type Breaker =
  | { readonly state: 'closed'; readonly failures: number; readonly opened: number }
  | { readonly state: 'open'; readonly untilMs: number; readonly opened: number }
  | { readonly state: 'probing'; readonly untilMs: number; readonly opened: number };

/**
 * What became known of a try. `begun`: the first part is here; `answered`: the whole answer, or a refusal that is the client's
 * affair; `unreachable`: no connection; `slow`: its first part came, but far later than its fellows' do; `abandoned`: nobody
 * waits any more, and nothing was known yet.
 */
export type Outcome = 'begun' | 'answered' | 'failed' | 'unreachable' | 'slow' | 'abandoned';

export interface BreakerSettings {
  /** This many failures in a row open it; a connection that cannot be made, or slowness, does so alone. */
  readonly failuresMax: number;
  /** The first time it stays open for so long, each time after that for twice as long, up to a bound. */
  readonly openMsFirst: number;
  readonly openMsMax: number;
}

export const closedBreaker: Breaker = { state: 'closed', failures: 0, opened: 0 };

export function mayTry(breaker: Breaker, nowMs: number): boolean {
  return breaker.state === 'closed' || nowMs >= breaker.untilMs;
}

/** A try begins that `mayTry` allowed. */
export function beginTry(breaker: Breaker, nowMs: number, settings: BreakerSettings): Breaker {
  return breaker.state === 'closed' ? breaker : { ...open(breaker.opened, nowMs, settings), state: 'probing' };
}

export function learn(breaker: Breaker, outcome: Outcome, nowMs: number, settings: BreakerSettings): Breaker {
  // A request from before it opened says nothing of now.
  if (breaker.state === 'open') return breaker;
  // Answers that begin and are then cut must add up: only a whole one forgets failures, and the next one of whoever was open opens it
  // again.
  if (outcome === 'begun')
    return breaker.state === 'probing' ? { state: 'closed', failures: settings.failuresMax - 1, opened: breaker.opened } : breaker;
  if (outcome === 'answered') return breaker.state === 'closed' && breaker.failures === 0 && breaker.opened === 0 ? breaker : closedBreaker;
  if (outcome === 'abandoned') return breaker.state === 'probing' ? { state: 'open', untilMs: nowMs, opened: breaker.opened } : breaker;
  if (breaker.state === 'probing') return open(breaker.opened + 1, nowMs, settings);
  const failures = breaker.failures + 1;
  return outcome !== 'failed' || failures >= settings.failuresMax ? open(breaker.opened + 1, nowMs, settings) : { ...breaker, failures };
}

/** What it was open for seems to be over, as is known from elsewhere: the next request may try. */
export function expire(breaker: Breaker): Breaker {
  return breaker.state === 'open' ? { ...breaker, untilMs: -Infinity } : breaker;
}

function open(opened: number, nowMs: number, { openMsFirst, openMsMax }: BreakerSettings): Extract<Breaker, { state: 'open' }> {
  return { state: 'open', opened, untilMs: nowMs + Math.min(openMsMax, openMsFirst * 2 ** Math.min(opened - 1, 16)) };
}
