import type { GatewayEvent } from '@open-autoglm/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Followed } from '../../src/common/followed.ts';
import { Diagnoser, type Pauses } from '../../src/observability/bottleneck/diagnoser.ts';
import { createFollower } from '../../src/observability/follow.ts';
import type { Observer } from '../../src/observability/observer.ts';
import { createObservability } from '../../src/observability/observability.ts';
import { RequestProfile } from '../../src/observability/profile/request-profile.ts';
import type { Sinks } from '../../src/observability/sinks/sinks.ts';
import { anyEvent, anyRequest, start } from './events.ts';
import { observerContract } from './observer-contract.ts';

const end: GatewayEvent = { type: 'request-end', outcome: 'answered', status: 200 };
const noPauses: Pauses = { gcMs: () => 0, loopBlockedMs: () => 0 };

/** Keeps what it is told. */
function recorder(): Observer & { readonly told: { readonly event: GatewayEvent; readonly atMs: number }[] } {
  const told: { event: GatewayEvent; atMs: number }[] = [];
  return { told, begin: () => ({ on: (event, atMs) => void told.push({ event, atMs }) }) };
}

function broken(failsAt: number): Observer & { readonly heard: () => number } {
  let heard = 0;
  return {
    heard: () => heard,
    begin: () => ({
      on() {
        heard += 1;
        if (heard === failsAt) throw new Error('broken');
      },
    }),
  };
}

function tellAll({ emit }: Followed, events: readonly GatewayEvent[]): void {
  for (const event of events) emit(event);
}

observerContract('the profile of a request', () => ({ begin: (of) => new RequestProfile(of, () => of.startedAtMs) }));

describe('createFollower', () => {
  it('tells every observer every event in order, with one reading of the clock for all', () => {
    fc.assert(
      fc.property(anyRequest, (events) => {
        const [a, b] = [recorder(), recorder()];
        let nowMs = start.startedAtMs;
        const { follow, settle } = createFollower({ observers: [a, b], now: () => (nowMs += 1) });
        tellAll(follow(start), events);
        settle();
        expect(a.told.map(({ event }) => event)).toEqual(events);
        expect(a.told.map(({ atMs }) => atMs - start.startedAtMs)).toEqual(events.map((_, index) => index + 1));
        expect(b.told).toEqual(a.told);
      }),
    );
  });

  it('is deaf after the end, and tells the profile once', () => {
    fc.assert(
      fc.property(anyRequest, fc.array(anyEvent), (events, late) => {
        const observer = recorder();
        const profiles: RequestProfile[] = [];
        const ended: RequestProfile[] = [];
        const { follow, settle } = createFollower({
          observers: [observer],
          onEnd: (profile) => ended.push(profile),
          onProfile: (profile) => profiles.push(profile),
          now: () => 2000,
        });
        tellAll(follow(start), [...events, ...late, end]);
        expect(ended).toHaveLength(1);
        for (let count = 0; count < 2; count += 1) settle();
        expect(observer.told).toHaveLength(events.length);
        expect(profiles).toEqual(ended);
      }),
    );
  });

  it('tells at once of what is over after its own end, as requests are that engines end by being closed', () => {
    const observer = recorder();
    const profiles: RequestProfile[] = [];
    const observers = [observer];
    const logs = { onProfile: (profile: RequestProfile) => void profiles.push(profile) } as unknown as Sinks['logs'];
    const { follow, close } = createObservability(
      { metrics: { enabled: false }, diagnosis: { enabled: true } },
      {
        sinks: { observers, drops: [], logs, capture: (path) => path, close: async () => {} },
        engines: () => [],
        isModel: () => true,
        steps: () => [],
      },
    );
    const { emit } = follow(start);
    close();
    emit(end);
    expect(observer.told.map(({ event }) => event)).toEqual([end]);
    expect(profiles).toHaveLength(1);
  });

  it('cuts an observer off that throws, counts it once, and keeps it from nobody else', () => {
    fc.assert(
      fc.property(anyRequest, fc.integer({ min: 1, max: 40 }), (events, failsAt) => {
        const [before, bad, after] = [recorder(), broken(failsAt), recorder()];
        const failures: unknown[] = [];
        const { follow, settle } = createFollower({
          observers: [before, bad, after],
          onFailure: (error) => failures.push(error),
          now: () => 2000,
        });
        tellAll(follow(start), events);
        settle();
        expect(bad.heard()).toBe(Math.min(failsAt, events.length));
        expect(failures).toHaveLength(failsAt <= events.length ? 1 : 0);
        expect(before.told.map(({ event }) => event)).toEqual(events);
        expect(after.told.map(({ event }) => event)).toEqual(events);
      }),
    );
  });

  it('goes on when observers cannot begin, do not want to, or the metrics throw', () => {
    const observer = recorder();
    const failures: unknown[] = [];
    const refusing: Observer = {
      begin: () => {
        throw new Error('no');
      },
    };
    const uninterested: Observer = { begin: () => undefined };
    const { follow, settle } = createFollower({
      observers: [refusing, uninterested, observer],
      now: () => 2000,
      onProfile: () => {
        throw new Error('metrics');
      },
      onFailure: (error) => failures.push((error as Error).message),
    });
    follow(start).emit(end);
    settle();
    expect(observer.told.map(({ event }) => event)).toEqual([end]);
    expect(failures).toEqual(['no', 'metrics']);
  });

  it('states the bottleneck of a slow request just before its end, to all', async () => {
    const observer = recorder();
    let nowMs = start.startedAtMs;
    const { promise: over, resolve } = Promise.withResolvers<RequestProfile>();
    const { emit } = createFollower({
      observers: [observer],
      diagnoser: new Diagnoser(noPauses),
      onProfile: resolve,
      now: () => nowMs,
    }).follow(start);
    emit({ type: 'request-parsed', model: 'm', stream: false, maxTokens: undefined, choiceCount: 1 });
    emit({ type: 'engine-chosen', engine: 'e', tier: 'edge', reason: 'only one' });
    emit({ type: 'segment-end', segment: 'queue', durationMs: 900, choice: 0 });
    emit({ type: 'segment-end', segment: 'prefill', durationMs: 50, choice: 0 });
    nowMs += 1000;
    emit(end);
    emit({ type: 'first-token' });
    const profile = await over;
    expect(observer.told.slice(-2).map(({ event }) => event)).toEqual([
      { type: 'bottleneck', segment: 'queue', cause: 'queueing', detail: 'batch-full', durationMs: 900, expectedMs: expect.any(Number) },
      end,
    ]);
    expect(profile.bottleneck).toMatchObject({ segment: 'queue', cause: 'queueing' });
    expect(profile.firstTokenAtMs).toBeUndefined();
  });

  it('tells the answer of a slow request what has made it slow so far, and learns nothing from that', () => {
    let nowMs = start.startedAtMs;
    const diagnoser = new Diagnoser(noPauses);
    const { follow, settle } = createFollower({ observers: [], diagnoser, now: () => nowMs });
    const ask = (queueMs: number) => {
      nowMs = start.startedAtMs;
      const { emit, timings } = follow(start);
      emit({ type: 'request-parsed', model: 'm', stream: false, maxTokens: undefined, choiceCount: 1 });
      expect(timings.told()).toEqual({ timings: expect.any(Object) });
      emit({ type: 'engine-chosen', engine: 'e', tier: 'edge', reason: 'only one' });
      emit({ type: 'segment-end', segment: 'queue', durationMs: queueMs, choice: 0 });
      emit({ type: 'answer-note', name: 'fit', value: 1 });
      nowMs += queueMs + 1;
      return { emit, timings };
    };
    // Of the first requests nobody knows whether they are slow.
    expect(ask(900).timings.told()).toEqual({ timings: expect.any(Object), fit: 1 });
    for (let count = 0; count < 8; count += 1) ask(0).emit({ type: 'request-end', outcome: 'answered', status: 200 });
    settle();
    const { timings } = ask(900);
    const told = { bottleneck: { segment: 'queue', cause: 'queueing', detail: 'batch-full', duration_ms: 900, expected_ms: 0 }, fit: 1 };
    for (let look = 0; look < 20; look += 1) expect(timings.told()).toMatchObject(told);
    expect(diagnoser.window.summary(nowMs)).toEqual({ requests: 8, bottlenecks: [] });
  });

  it('states no bottleneck of a request that no engine was asked about', () => {
    const observer = recorder();
    let nowMs = start.startedAtMs;
    const { follow, settle } = createFollower({ observers: [observer], diagnoser: new Diagnoser(noPauses), now: () => nowMs });
    const { emit } = follow(start);
    nowMs += 5000;
    emit({ type: 'request-end', outcome: 'failed', status: 400, code: 'invalid_json' });
    settle();
    expect(observer.told.map(({ event }) => event.type)).toEqual(['request-end']);
  });
});
