import type { EngineDelays, GatewayEvent } from '@open-autoglm/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SegmentReading } from '../../src/observability/bottleneck/baselines.ts';
import { Baselines, workOf } from '../../src/observability/bottleneck/baselines.ts';
import { diagnose, excess, slowestSegment, type Circumstances } from '../../src/observability/bottleneck/diagnose.ts';
import { Diagnoser, type Pauses } from '../../src/observability/bottleneck/diagnoser.ts';
import { StreamingMedian } from '../../src/observability/bottleneck/streaming-median.ts';
import { BottleneckWindow } from '../../src/observability/bottleneck/window.ts';
import { RequestProfile } from '../../src/observability/profile/request-profile.ts';
import { start } from './events.ts';

const ms = fc.double({ min: 0, max: 1e5, noNaN: true });
const segment = fc.constantFrom(
  'prejudge',
  'input',
  'cache',
  'queue',
  'prefill',
  'decode',
  'upstream',
  'output',
  'other',
) satisfies fc.Arbitrary<SegmentReading['segment']>;
const reading: fc.Arbitrary<SegmentReading> = fc.record({ segment, durationMs: ms, expectedMs: ms, deviationMs: ms });
const readings = fc.uniqueArray(reading, { selector: (one) => one.segment });
const nothing: Circumstances = {
  gcMs: 0,
  loopBlockedMs: 0,
  bodyMs: 0,
  modelMs: 0,
  documentsMs: 0,
  imagesMs: 0,
  templateMs: 0,
  compressionMs: 0,
  fitMs: 0,
  inflightMs: 0,
  clientMs: 0,
  encodeMs: 0,
  preemptedMs: 0,
  engine: undefined,
};
const circumstances: fc.Arbitrary<Circumstances> = fc.record({
  gcMs: ms,
  loopBlockedMs: ms,
  bodyMs: ms,
  modelMs: ms,
  documentsMs: ms,
  imagesMs: ms,
  templateMs: ms,
  compressionMs: ms,
  fitMs: ms,
  inflightMs: ms,
  clientMs: ms,
  encodeMs: ms,
  preemptedMs: ms,
  engine: fc.option(fc.record({ promptsMs: ms, sharingMs: ms, coresMs: ms, gcMs: ms }), { nil: undefined }),
});
const delays = (changes: Partial<EngineDelays>): { readonly engine: EngineDelays } => ({
  engine: { promptsMs: 0, sharingMs: 0, coresMs: 0, gcMs: 0, ...changes },
});

const read = (of: SegmentReading['segment'], durationMs: number, expectedMs: number, deviationMs = 0): SegmentReading => ({
  segment: of,
  durationMs,
  expectedMs,
  deviationMs,
});

describe('slowestSegment', () => {
  it('names one that grew by what counts: 10 ms, a quarter of the whole, and three deviations', () => {
    fc.assert(
      fc.property(readings, (all) => {
        const slow = slowestSegment(all);
        const expectedMs = all.reduce((sum, one) => sum + one.expectedMs, 0);
        const isSlow = (one: SegmentReading) => excess(one) >= 10 && excess(one) >= expectedMs / 4 && excess(one) >= 3 * one.deviationMs;
        if (slow) expect(isSlow(slow)).toBe(true);
        else expect(all.some(isSlow)).toBe(false);
      }),
    );
  });

  it('names the one that grew most, but the output where an engine waited for its reader', () => {
    fc.assert(
      fc.property(readings, (all) => {
        const slow = slowestSegment(all);
        if (slow && slow.segment !== 'output')
          for (const one of all) if (excess(one) > excess(slow)) expect(3 * one.deviationMs).toBeGreaterThan(excess(one));
      }),
    );
    expect(slowestSegment([read('decode', 1000, 100), read('output', 850, 0)])?.segment).toBe('output');
    expect(slowestSegment([read('upstream', 1000, 100), read('output', 500, 0)])?.segment).toBe('upstream');
    expect(slowestSegment([read('queue', 1000, 100), read('output', 850, 0)])?.segment).toBe('queue');
  });

  it('finds nothing slow that is as it is expected to be', () => {
    fc.assert(
      fc.property(fc.array(segment), ms, (names, took) => {
        expect(slowestSegment(names.map((name) => read(name, took, took)))).toBeUndefined();
      }),
    );
  });
});

describe('diagnose', () => {
  it.each([
    ['queue', {}, 'queueing', 'batch-full'],
    ['prefill', {}, 'cpu', 'engine'],
    ['decode', { gcMs: 100, loopBlockedMs: 100 }, 'cpu', 'engine'],
    ['decode', delays({ promptsMs: 40, sharingMs: 5, coresMs: 40, gcMs: 40 }), 'cpu', 'engine'],
    ['decode', delays({ promptsMs: 20, sharingMs: 40, coresMs: 40 }), 'queueing', 'shared-steps'],
    ['prefill', delays({ promptsMs: 100, sharingMs: 90 }), 'queueing', 'prompts-of-others'],
    ['decode', delays({ promptsMs: 100, sharingMs: 90, coresMs: 60 }), 'cpu', 'missing-cores'],
    ['prefill', delays({ promptsMs: 100, coresMs: 60, gcMs: 50 }), 'gc', 'engine-gc'],
    ['queue', { preemptedMs: 90 }, 'queueing', 'preempted'],
    ['upstream', {}, 'io', 'slow-upstream'],
    ['upstream', { loopBlockedMs: 60 }, 'cpu', 'event-loop'],
    ['input', { modelMs: 90 }, 'lock', 'model-loading'],
    ['input', { bodyMs: 90 }, 'io', 'slow-upload'],
    ['input', { templateMs: 90, loopBlockedMs: 90 }, 'cpu', 'template'],
    ['input', { documentsMs: 90, templateMs: 1 }, 'io', 'documents'],
    ['input', { imagesMs: 90 }, 'io', 'images'],
    ['input', { compressionMs: 90, loopBlockedMs: 90 }, 'cpu', 'compression'],
    ['input', { fitMs: 90, loopBlockedMs: 90 }, 'cpu', 'fit'],
    ['input', { bodyMs: 90, loopBlockedMs: 90 }, 'cpu', 'event-loop'],
    ['input', { bodyMs: 90, gcMs: 90, loopBlockedMs: 90 }, 'gc', 'gc-pause'],
    ['cache', { inflightMs: 90 }, 'lock', 'in-flight-answer'],
    ['cache', {}, 'io', 'cache-store'],
    ['output', { clientMs: 90 }, 'io', 'slow-client'],
    ['output', { encodeMs: 90, loopBlockedMs: 90 }, 'cpu', 'encoding'],
    ['other', { gcMs: 60 }, 'gc', 'gc-pause'],
    ['other', { gcMs: 20, loopBlockedMs: 60 }, 'cpu', 'event-loop'],
    ['other', {}, 'io', 'transport'],
    ['prejudge', {}, 'cpu', 'rules'],
  ] as const)('%s with %j is %s: %s', (name, changes, cause, detail) => {
    expect(diagnose(read(name, 110, 10), { ...nothing, ...changes })).toEqual({
      segment: name,
      cause,
      detail,
      durationMs: 110,
      expectedMs: 10,
    });
  });

  it('always names a cause, keeps the figures, and is not swayed by what is too short to explain it', () => {
    fc.assert(
      fc.property(reading, circumstances, (one, around) => {
        const found = diagnose(one, around);
        expect(found).toMatchObject({ segment: one.segment, durationMs: one.durationMs, expectedMs: one.expectedMs });
        expect(['queueing', 'lock', 'io', 'cpu', 'gc']).toContain(found.cause);
        if (found.detail === 'engine-gc') expect(around.engine?.gcMs).toBeGreaterThanOrEqual(excess(one) / 2);
        if (found.detail !== 'gc-pause' && found.detail !== 'event-loop') return;
        expect(around.gcMs + around.loopBlockedMs).toBeGreaterThanOrEqual(excess(one) / 2);
        expect(around.gcMs >= around.loopBlockedMs).toBe(found.cause === 'gc');
      }),
    );
  });
});

describe('StreamingMedian', () => {
  it('stays within what it has seen', () => {
    fc.assert(
      fc.property(fc.array(ms, { minLength: 1, maxLength: 300 }), (values) => {
        const median = new StreamingMedian();
        for (const value of values) median.add(value);
        expect(median.value).toBeGreaterThanOrEqual(Math.min(...values) - 1e-9);
        expect(median.value).toBeLessThanOrEqual(Math.max(...values) + 1e-9);
        expect(median.deviation).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  it('finds the median, is hardly moved by an outlier, and follows a lasting change', () => {
    const median = new StreamingMedian();
    for (let index = 0; index < 1000; index += 1) median.add(90 + ((index * 7) % 21));
    expect(median.value).toBeGreaterThan(96);
    expect(median.value).toBeLessThan(104);
    const before = median.value;
    median.add(1e6);
    expect(median.value - before).toBeLessThan(0.1 * 1e6);
    for (let index = 0; index < 1000; index += 1) median.add(200 + ((index * 7) % 21));
    expect(median.value).toBeGreaterThan(190);
  });
});

type SegmentEnd = Extract<GatewayEvent, { type: 'segment-end' }>;

/** A finished request of an engine that reads 1 ms a prompt token and writes 2 ms a token. */
function profileOf({
  queue = 0,
  prompt = 20,
  answer = 50,
  slowness = 1,
  other = 0,
  model = 'm',
  outcome = 'answered' as 'answered' | 'failed',
  input = { type: 'segment-end', segment: 'input', durationMs: 0 } as SegmentEnd,
}): RequestProfile {
  const profile = new RequestProfile(start, () => 0);
  const [prefill, decode] = [prompt, answer * 2 * slowness];
  const events: GatewayEvent[] = [
    { type: 'request-parsed', model, stream: false, maxTokens: undefined, choiceCount: 1 },
    { type: 'engine-chosen', engine: 'e', tier: 'edge', reason: 'only one' },
    input,
    { type: 'segment-end', segment: 'queue', durationMs: queue, choice: 0 },
    { type: 'segment-end', segment: 'prefill', durationMs: prefill, choice: 0 },
    { type: 'prompt-end', choice: 0, promptTokens: prompt, cachedTokens: 0 },
    { type: 'segment-end', segment: 'decode', durationMs: decode, choice: 0 },
    { type: 'choice-end', choice: 0, finishReason: 'stop', completionTokens: answer + 1 },
  ];
  for (const event of events) profile.on(event, start.startedAtMs);
  profile.on(
    { type: 'request-end', outcome, status: outcome === 'answered' ? 200 : 500 },
    start.startedAtMs + input.durationMs + queue + prefill + decode + other,
  );
  return profile;
}

describe('baselines', () => {
  it('are of a token: long prompts and long answers are not slow', () => {
    const baselines = new Baselines();
    const judge = (profile: RequestProfile) => {
      const slow = slowestSegment(baselines.read(workOf(profile, profile.times()), profile.times()));
      baselines.learn(workOf(profile, profile.times()), profile.times());
      return slow?.segment;
    };
    for (let index = 0; index < 50; index += 1)
      expect(judge(profileOf({ prompt: 10 + ((index * 37) % 400), answer: 5 + ((index * 53) % 200) }))).toBeUndefined();
    expect(judge(profileOf({ slowness: 3 }))).toBe('decode');
    expect(judge(profileOf({ queue: 200 }))).toBe('queue');
    expect(judge(profileOf({}))).toBeUndefined();
  });

  it('never take waiting for granted, however long it goes on', () => {
    const baselines = new Baselines();
    for (let index = 0; index < 500; index += 1) {
      const profile = profileOf({ queue: 1000 });
      expect(slowestSegment(baselines.read(workOf(profile, profile.times()), profile.times()))?.segment).toBe('queue');
      baselines.learn(workOf(profile, profile.times()), profile.times());
    }
  });

  it('are each model’s own, and learn nothing from answers that failed', () => {
    const pauses: Pauses = { gcMs: () => 0, loopBlockedMs: () => 0 };
    const diagnoser = new Diagnoser(pauses);
    for (let index = 0; index < 20; index += 1) expect(diagnoser.judge(profileOf({ model: 'fast' }))).toBeUndefined();
    for (let index = 0; index < 20; index += 1) expect(diagnoser.judge(profileOf({ model: 'slow', slowness: 5 }))).toBeUndefined();
    for (let index = 0; index < 500; index += 1) diagnoser.judge(profileOf({ model: 'fast', slowness: 5, outcome: 'failed' }));
    expect(diagnoser.judge(profileOf({ model: 'fast', slowness: 5 }))?.segment).toBe('decode');
  });

  it('of more models than there is room for are shared', () => {
    const diagnoser = new Diagnoser({ gcMs: () => 0, loopBlockedMs: () => 0 });
    for (let index = 0; index < 1000; index += 1) diagnoser.judge(profileOf({ model: `m${index}` }));
    expect(diagnoser.judge(profileOf({ model: 'new', slowness: 5 }))?.segment).toBe('decode');
  });
});

describe('Diagnoser', () => {
  it('looks for pauses in the request’s own time, and counts a pause of the collector once', () => {
    const asked: [number, number][] = [];
    const diagnoser = new Diagnoser({
      gcMs: (from, to) => (asked.push([from, to]), 100),
      loopBlockedMs: () => 150,
    });
    const profile = profileOf({ other: 220 });
    const slow = diagnoser.judge(profile) as SegmentReading;
    expect(slow).toMatchObject({ segment: 'other', durationMs: 220 });
    expect(diagnoser.explain(profile, slow)).toMatchObject({ segment: 'other', cause: 'gc', detail: 'gc-pause' });
    expect(asked).toEqual([[start.startedAtMs, profile.endedAtMs]]);
  });

  it.each([
    ['documents', 'documents'],
    ['images', 'images'],
    ['compress', 'compression'],
    ['fit', 'fit'],
    ['model', 'model-loading'],
    ['template', 'template'],
  ])('knows what the input stage calls %s', (reason, detail) => {
    const diagnoser = new Diagnoser({ gcMs: () => 0, loopBlockedMs: () => 0 });
    const profile = profileOf({ input: { type: 'segment-end', segment: 'input', durationMs: 300, reason } });
    expect(diagnoser.explain(profile, diagnoser.judge(profile) as SegmentReading)).toMatchObject({ segment: 'input', detail });
  });
});

describe('BottleneckWindow', () => {
  const slow = (segmentName: 'queue' | 'other', excessMs: number) => ({
    segment: segmentName,
    cause: 'queueing' as const,
    detail: 'x',
    durationMs: 10 + excessMs,
    expectedMs: 10,
  });

  it('keeps the last minute and the last 256 requests, the costliest reason first', () => {
    const window = new BottleneckWindow();
    window.add(0, slow('queue', 1e6));
    window.add(30_000, undefined);
    window.add(40_000, slow('queue', 5));
    window.add(50_000, slow('other', 20));
    window.add(60_500, slow('queue', 5));
    expect(window.summary(61_000)).toEqual({
      requests: 4,
      bottlenecks: [
        { segment: 'other', cause: 'queueing', detail: 'x', requests: 1, excessMs: 20 },
        { segment: 'queue', cause: 'queueing', detail: 'x', requests: 2, excessMs: 10 },
      ],
    });
    for (let index = 0; index < 1000; index += 1) window.add(61_000, undefined);
    expect(window.summary(61_000)).toEqual({ requests: 256, bottlenecks: [] });
    expect(window.summary(200_000)).toEqual({ requests: 0, bottlenecks: [] });
  });
});
