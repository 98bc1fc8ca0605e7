import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EnergyReader, registerEnergyMetrics } from '../../src/observability/metrics/energy-metrics.ts';
import { batchSizes, registerEngineMetrics } from '../../src/observability/metrics/engine-metrics.ts';
import { CounterFamily, HistogramFamily } from '../../src/observability/metrics/families.ts';
import { GpuReader, parseReadings, registerGpuMetrics } from '../../src/observability/metrics/gpu-metrics.ts';
import { ModelLabels } from '../../src/observability/metrics/model-labels.ts';
import { IntervalRing } from '../../src/observability/runtime/interval-ring.ts';
import { readMetrics } from './scrape.ts';

describe('energy counters of the kernel', () => {
  let folder: string;
  const zone = async (id: string, name: string, microjoules: number | string) => {
    await mkdir(path.join(folder, id), { recursive: true });
    await writeFile(path.join(folder, id, 'name'), `${name}\n`);
    await writeFile(path.join(folder, id, 'max_energy_range_uj'), '1000000\n');
    await writeFile(path.join(folder, id, 'energy_uj'), `${microjoules}\n`);
  };
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'powercap-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('are told from the first reading on, across the place where they begin again', async () => {
    await zone('intel-rapl:0', 'package-0', 900_000);
    await zone('intel-rapl:0:0', 'dram', 5);
    await zone('intel-rapl-mmio:0', 'package-0', 900_000);
    await zone('dtpm', 'other', 1);
    const registry = new Registry();
    registerEnergyMetrics(registry, new EnergyReader(folder));
    expect(readMetrics(await registry.metrics()).value('hw_energy_joules_total')).toBe(0);
    await zone('intel-rapl:0', 'package-0', 100_000);
    await zone('intel-rapl:0:0', 'dram', 250_005);
    const { value, samples } = readMetrics(await registry.metrics());
    expect(value('hw_energy_joules_total', { hw_id: 'intel-rapl:0', hw_type: 'cpu', hw_name: 'package-0' })).toBeCloseTo(0.2);
    expect(value('hw_energy_joules_total', { hw_name: 'dram' })).toBeCloseTo(0.25);
    expect(samples).toHaveLength(2);
  });

  it('are told once to those who ask at the same time', async () => {
    await zone('intel-rapl:0', 'package-0', 0);
    const reader = new EnergyReader(folder);
    await reader.read();
    await zone('intel-rapl:0', 'package-0', 500_000);
    const all = await Promise.all(Array.from({ length: 10 }, () => reader.read()));
    expect(all.map(([first]) => first?.joules)).toEqual(Array.from({ length: 10 }, () => 0.5));
  });

  it('are absent where there are none, and where they cannot be read', async () => {
    expect(await new EnergyReader(path.join(folder, 'nowhere')).read()).toEqual([]);
    await zone('intel-rapl:0', 'package-0', 'secret');
    expect(await new EnergyReader(folder).read()).toEqual([]);
    const registry = new Registry();
    registerEnergyMetrics(registry, new EnergyReader(folder));
    expect(readMetrics(await registry.metrics()).samples).toEqual([]);
  });
});

it('an engine that answers to two names is counted once', async () => {
  const none = { bounds: batchSizes, counts: [...batchSizes, 0].map(() => 0), sum: 0 };
  const stats = {
    running: 3,
    waiting: 0,
    kvUsedTokens: 1,
    kvCapacityTokens: 2,
    promptTokens: 5,
    cachedTokens: 0,
    generatedTokens: 7,
    batchSize: { ...none, counts: none.counts.with(0, 4) },
    interTokenMs: none,
  };
  const engine = { name: 'embedded', tier: 'edge', status: { state: 'ready', detail: '' }, stats } as const;
  const registry = new Registry();
  registerEngineMetrics(registry, () => [
    { ...engine, model: 'default' },
    { ...engine, model: 'mine' },
    { ...engine, name: 'second', model: 'mine', stats: { ...stats, drafts: { count: 2, tokens: 9, acceptedTokens: 6 } } },
  ]);
  const { value, count, samples } = readMetrics(await registry.metrics());
  expect([value('vllm:num_requests_running'), value('autoglm_engine_generated_tokens_total'), count('autoglm_engine_batch_size')]).toEqual([
    6, 14, 8,
  ]);
  const drafts = new Set(['drafts', 'draft_tokens', 'accepted_tokens'].map((what) => `vllm:spec_decode_num_${what}_total`));
  expect(samples.filter(({ name }) => drafts.has(name)).map(({ labels, value: told }) => [labels['engine'], told])).toEqual([
    ['second', 2],
    ['second', 9],
    ['second', 6],
  ]);
  expect(samples.filter(({ name }) => name === 'vllm:num_requests_running').map(({ labels }) => labels)).toEqual([
    { model_name: 'default', engine: 'embedded' },
    { model_name: 'mine', engine: 'second' },
  ]);
});

describe('nvidia-smi', () => {
  it('is read in base units, and what it does not tell is left out', () => {
    const output = 'GPU-1, NVIDIA H200, 37, 1024, 143771, 120.50, 41\nGPU-2, NVIDIA T4, [N/A], 3, 15360, [Not Supported], 30\n';
    expect(parseReadings(output)).toEqual([
      {
        id: 'GPU-1',
        model: 'NVIDIA H200',
        utilization: 0.37,
        memoryUsedBytes: 2 ** 30,
        memoryTotalBytes: 143771 * 2 ** 20,
        powerWatts: 120.5,
        temperatureCelsius: 41,
      },
      {
        id: 'GPU-2',
        model: 'NVIDIA T4',
        utilization: undefined,
        memoryUsedBytes: 3 * 2 ** 20,
        memoryTotalBytes: 15360 * 2 ** 20,
        powerWatts: undefined,
        temperatureCelsius: 30,
      },
    ]);
  });

  it('may say anything', () => {
    expect(parseReadings("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n")).toEqual([]);
    fc.assert(
      fc.property(fc.string(), (output) => {
        for (const { utilization } of parseReadings(output)) expect(utilization === undefined || Number.isFinite(utilization)).toBe(true);
      }),
    );
  });

  it('has no series where there is no such program', async () => {
    const before = process.env['PATH'];
    process.env['PATH'] = '/nowhere';
    try {
      const registry = new Registry();
      registerGpuMetrics(registry, new GpuReader());
      expect(readMetrics(await registry.metrics()).samples).toEqual([]);
    } finally {
      process.env['PATH'] = before;
    }
  });
});

describe('families', () => {
  it('count what they are told, each value in the first bucket that holds it', async () => {
    const bounds = [0.1, 1, 10];
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.constantFrom('a', 'b'), fc.constantFrom<number[]>(0, 0.05, 0.1, 0.5, 1, 5, 10, 11))),
        async (values) => {
          const registry = new Registry();
          const family = new HistogramFamily({ registry, name: 'x_seconds', help: 'x', bounds });
          const counter = new CounterFamily({ registry, name: 'x_total', help: 'x', labelNames: ['of'] });
          for (const [of, value] of values) {
            family.series({ of }).observe(value);
            counter.series({ of }).add(value);
          }
          const { histograms, value: total } = readMetrics(await registry.metrics());
          for (const of of ['a', 'b']) {
            const own = values.filter(([name]) => name === of).map(([, value]) => value);
            const found = histograms.find(({ labels }) => labels['of'] === of);
            expect(found?.count ?? 0).toBe(own.length);
            for (const { bound, count } of found?.buckets ?? []) expect(count).toBe(own.filter((value) => value <= bound).length);
            expect(total('x_total', { of })).toBeCloseTo(
              own.reduce((sum, value) => sum + value, 0),
              9,
            );
          }
        },
      ),
      { numRuns: 30 },
    );
  });

  it('take over what was counted elsewhere, in another unit and with other bounds, as it stands', async () => {
    const registry = new Registry();
    const family = new HistogramFamily({
      registry,
      name: 'x_seconds',
      help: 'x',
      bounds: [0.001, 0.005, 1],
      collect: (own) => own.load({ engine: 'e' }, { bounds: [1, 2, 1000], counts: [3, 2, 1, 4], sum: 9000 }, 1 / 1000),
    });
    for (let scraped = 0; scraped < 2; scraped += 1) {
      const [found] = readMetrics(await registry.metrics()).histograms;
      expect(found).toMatchObject({
        name: family.name,
        count: 10,
        sum: 9,
        buckets: [
          { bound: 0.001, count: 3 },
          { bound: 0.005, count: 5 },
          { bound: 1, count: 6 },
          { bound: Infinity, count: 10 },
        ],
      });
    }
  });

  it('write labels that need it escaped', async () => {
    const registry = new Registry();
    new CounterFamily({ registry, name: 'x_total', help: 'x', labelNames: ['model'] }).series({ model: 'a"b\\c\nd' }).add(2);
    expect(readMetrics(await registry.metrics()).value('x_total', { model: 'a"b\\c\nd' })).toBe(2);
  });
});

describe('ModelLabels', () => {
  it('keep a name that is known, and share one among all others and those after the hundredth', () => {
    const labels = new ModelLabels((name) => name.startsWith('known'));
    expect([labels.of('known'), labels.of('made up'), labels.of(undefined)]).toEqual(['known', 'other', 'other']);
    const all = new Set(Array.from({ length: 1000 }, (_, index) => labels.of(`known-${index}`)));
    expect(all.size).toBe(100);
  });
});

describe('IntervalRing', () => {
  it('tells how much of a time its latest intervals cover', () => {
    const gaps = fc.array(fc.tuple(fc.nat({ max: 20 }), fc.nat({ max: 20 })), { maxLength: 40 });
    fc.assert(
      fc.property(gaps, fc.nat({ max: 500 }), fc.nat({ max: 500 }), fc.integer({ min: 1, max: 30 }), (all, a, b, capacity) => {
        const ring = new IntervalRing(capacity);
        const intervals: [number, number][] = [];
        let at = 0;
        for (const [gap, length] of all) {
          intervals.push([at + gap, at + gap + length]);
          ring.add(at + gap, at + gap + length);
          at += gap + length;
        }
        const [from, to] = [Math.min(a, b), Math.max(a, b)];
        const covered = intervals
          .slice(-capacity)
          .reduce((sum, [begin, end]) => sum + Math.max(0, Math.min(to, end) - Math.max(from, begin)), 0);
        expect(ring.overlap(from, to)).toBe(covered);
      }),
    );
  });
});
