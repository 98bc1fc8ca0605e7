import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { inputKinds, type DeviceReport } from '../../../src/common/device-registry.ts';
import { devices as policy } from '../../../src/router/balance/devices.ts';
import { DeviceTable } from '../../../src/router/devices/device-table.ts';
import { inputKindOf } from '../../../src/router/devices/input-kind.ts';
import { createAcceleratorReader, ownReport, readSmi } from '../../../src/router/devices/own-report.ts';
import { scoreDevice } from '../../../src/router/devices/score.ts';

const weights = { cpu: 0.4, memory: 0.3, latency: 0.3, accelerator: 0 };
const report = (changes: Partial<DeviceReport> = {}): DeviceReport => ({
  cores: 4,
  load: 0,
  memoryTotal: 100,
  memoryFree: 100,
  accelerators: [],
  latencyMs: 1,
  accepts: inputKinds,
  intervalMs: 100,
  ...changes,
});
const score = (changes: Partial<DeviceReport>, its = weights) => scoreDevice(report(changes), its, 0, 10);
const anything = fc.oneof(fc.double(), fc.constantFrom(0, -1, Infinity, -Infinity, NaN, Number.MAX_VALUE));
const anyReport = fc.record<DeviceReport>({
  cores: anything,
  load: anything,
  memoryTotal: anything,
  memoryFree: anything,
  latencyMs: fc.option(anything, { nil: undefined }),
  accepts: fc.subarray([...inputKinds]),
  intervalMs: fc.integer({ min: 10, max: 1000 }),
  accelerators: fc.array(fc.record({ name: fc.string(), memoryTotal: anything, memoryFree: anything, busy: anything }), { maxLength: 4 }),
});

describe("a device's score", () => {
  it('is finite and above 0 for any report', () => {
    fc.assert(
      fc.property(anyReport, anything, (any, latencyMs) => {
        const value = scoreDevice(any, { ...weights, accelerator: 1 }, latencyMs, 10);
        expect(Number.isFinite(value) && value > 0).toBe(true);
      }),
    );
  });

  it('is what the formula says', () => {
    expect(score({})).toBeCloseTo(1);
    expect(score({ load: 2 })).toBeCloseTo(0.8);
    expect(score({ memoryFree: 50 })).toBeCloseTo(0.85);
    expect(score({ latencyMs: 100 })).toBeCloseTo(0.73);
    expect(score({ load: 4, memoryFree: 0, latencyMs: 1e9 })).toBeLessThan(1e-3);
    expect(
      score({ accelerators: [{ name: 'a', memoryTotal: 100, memoryFree: 50, busy: 0.5 }] }, { ...weights, accelerator: 2 }),
    ).toBeCloseTo(1.5);
  });

  it('falls with load, and rises with free memory', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 8, noNaN: true }), fc.double({ min: 0, max: 8, noNaN: true }), (a, b) => {
        expect(score({ load: Math.max(a, b) })).toBeLessThanOrEqual(score({ load: Math.min(a, b) }));
        expect(score({ memoryFree: Math.max(a, b) })).toBeGreaterThanOrEqual(score({ memoryFree: Math.min(a, b) }));
      }),
    );
  });
});

describe('the table of devices', () => {
  const byKind = { text: weights, structured: weights, image: { ...weights, accelerator: 1 } };
  const open = (devicesMax = 3) => {
    const clock = { ms: 0 };
    return { clock, table: new DeviceTable({ devicesMax, timeoutMs: 1000, weights: byKind, latencyUnitMs: 10, now: () => clock.ms }) };
  };

  it('has a device until it has been silent for too long, and again when it reports', () => {
    const { table, clock } = open();
    const place = table.placeOf('a');
    expect(place.mayTake('text')).toBe(false);
    table.beat('a', report());
    expect(place.mayTake('text')).toBe(true);
    clock.ms = 1001;
    expect(place.mayTake('text')).toBe(false);
    expect(table.list()).toMatchObject([{ id: 'a', isAlive: false, ageMs: 1001 }]);
    table.beat('a', report({ intervalMs: 5000 }));
    clock.ms += 14_000;
    expect(place.mayTake('text')).toBe(true);
    clock.ms += 2000;
    expect(place.mayTake('text')).toBe(false);
  });

  it('gives a device only what it takes, and is always where it runs itself', () => {
    const { table, clock } = open();
    table.beat('a', report({ accepts: ['text'] }));
    expect(inputKinds.map((kind) => table.placeOf('a').mayTake(kind))).toEqual([true, false, false]);
    const own = table.placeOf('own', true);
    expect(own.mayTake('image')).toBe(true);
    table.beat('own', report({ accepts: ['image'] }));
    clock.ms = 1e9;
    expect(own.mayTake('image')).toBe(true);
    expect(own.mayTake('text')).toBe(false);
  });

  it('is bounded, lets go of who is out, and refuses the rest', () => {
    const { table, clock } = open(2);
    table.beat('a', report());
    clock.ms = 500;
    table.beat('b', report());
    expect(() => table.beat('c', report())).toThrow(expect.objectContaining({ code: 'device_limit_exceeded' }) as Error);
    clock.ms = 1400;
    table.beat('c', report());
    expect(table.list().map(({ id }) => id)).toEqual(['b', 'c']);
  });

  it('never has more devices than it may, never one that is out, whatever happens', () => {
    const events = fc.array(
      fc.oneof(
        fc.record({ id: fc.constantFrom('a', 'b', 'c', 'd', 'e'), report: anyReport }),
        fc.record({ waitMs: fc.integer({ min: 1, max: 2000 }) }),
      ),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(events, (happened) => {
        const { table, clock } = open(3);
        const beats = new Map<string, { atMs: number; intervalMs: number }>();
        for (const event of happened) {
          if ('waitMs' in event) clock.ms += event.waitMs;
          else {
            try {
              table.beat(event.id, event.report);
              beats.set(event.id, { atMs: clock.ms, intervalMs: event.report.intervalMs });
            } catch {
              expect(table.list().every(({ isAlive }) => isAlive)).toBe(true);
            }
          }
          expect(table.list().length).toBeLessThanOrEqual(3);
          for (const id of ['a', 'b', 'c', 'd', 'e']) {
            const beat = beats.get(id);
            const mayBe = beat !== undefined && clock.ms - beat.atMs <= Math.max(1000, beat.intervalMs * 3);
            if (!mayBe) expect(inputKinds.some((kind) => table.placeOf(id).mayTake(kind))).toBe(false);
          }
        }
      }),
    );
  });
});

describe('placing by devices', () => {
  const candidate = (deviceScore: number, outstanding = 0, weight = 1) => ({
    id: 0,
    weight,
    outstanding,
    pass: 0,
    latencyMs: 0,
    prefixMatch: 0,
    deviceScore,
  });
  const choose = (...candidates: ReturnType<typeof candidate>[]) => policy.choose(candidates, { key: undefined, random: Math.random });

  it('goes where most room is, shared among what is there already', () => {
    expect(choose(candidate(0.2), candidate(0.9), candidate(0.5))).toBe(1);
    expect(choose(candidate(0.2), candidate(0.9, 9), candidate(0.5))).toBe(2);
    expect(choose(candidate(0.4, 0, 3), candidate(0.9))).toBe(0);
  });

  it.each([
    [{ input: { kind: 'completion', prompts: ['a'] } }, 'text'],
    [{ input: { kind: 'chat', messages: [{ role: 'user', content: 'a' }] } }, 'text'],
    [{ input: { kind: 'chat', messages: [{ role: 'user', content: 'a' }] }, responseFormat: { type: 'json_object' } }, 'structured'],
    [
      {
        input: { kind: 'chat', messages: [{ role: 'user', content: 'a' }] },
        body: { fields: { response_format: { type: 'json_object' } }, read: {} },
      },
      'structured',
    ],
    [
      {
        input: { kind: 'chat', messages: [{ role: 'user', content: 'a' }] },
        body: { fields: { response_format: { type: 'text' }, tools: [] }, read: {} },
      },
      'text',
    ],
    [
      {
        input: {
          kind: 'chat',
          messages: [
            {
              role: 'user',
              content: 'a',
              wire: {
                content: [
                  { type: 'text', text: 'a' },
                  { type: 'image_url', image_url: {} },
                ],
              },
            },
          ],
        },
      },
      'image',
    ],
  ] as const)('by what a request is made of: %#', (request, kind) => {
    expect(inputKindOf(request as unknown as Parameters<typeof inputKindOf>[0])).toBe(kind);
  });
});

describe("this machine's report", () => {
  it('is of numbers that make sense', async () => {
    const own = await ownReport({ accepts: ['text'], intervalMs: 100, latencyMs: 0 }, async () => []);
    expect(own.cores).toBeGreaterThan(0);
    expect(own.memoryFree).toBeGreaterThan(0);
    expect(own.memoryFree).toBeLessThanOrEqual(own.memoryTotal);
  });

  it('reads nvidia-smi, and does without', async () => {
    expect(readSmi('NVIDIA H200, 1000, 250, 40\nOld One, [N/A], [N/A], [N/A]\nOther, 10, 5, [N/A]\n\n')).toEqual([
      { name: 'NVIDIA H200', memoryTotal: 1000 * 1024 * 1024, memoryFree: 250 * 1024 * 1024, busy: 0.4 },
      { name: 'Other', memoryTotal: 10 * 1024 * 1024, memoryFree: 5 * 1024 * 1024, busy: 0 },
    ]);
    expect(await createAcceleratorReader('no-such-program-anywhere')()).toEqual([]);
  });
});
