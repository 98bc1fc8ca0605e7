import { Counter, Gauge, type Registry } from 'prom-client';
import type { EngineState, EngineStats } from '@open-autoglm/protocol';
import type { ListedReplica } from '../../common/model-catalog.ts';
import { tokenSeconds } from './buckets.ts';
import { HistogramFamily, type Labels } from './families.ts';

const states: readonly EngineState[] = ['starting', 'ready', 'restarting', 'unreachable', 'failed', 'closed'];

/** Engines tell their batch sizes in these buckets. */
export const batchSizes = [1, 2, 4, 8, 16, 32, 64, 128, 256];

/** What engines report, read when the metrics are; counters begin anew when an engine's process does, as Prometheus expects. */
export function registerEngineMetrics(registry: Registry, engines: () => readonly ListedReplica[]): void {
  const labelNames = ['model_name', 'engine'];
  const told = () =>
    onceEach(engines()).flatMap(({ name, model, stats }) => (stats ? [{ labels: { model_name: model, engine: name }, stats }] : []));
  const gauge = (name: string, help: string, read: (stats: EngineStats) => number | undefined) =>
    new Gauge({
      name,
      help,
      labelNames,
      registers: [registry],
      collect() {
        this.reset();
        for (const { labels, stats } of told()) setIfKnown(this, labels, read(stats));
      },
    });
  const counter = (name: string, help: string, read: (stats: EngineStats) => number | undefined) =>
    new Counter({
      name,
      help,
      labelNames,
      registers: [registry],
      collect() {
        this.reset();
        for (const { labels, stats } of told()) {
          const value = read(stats);
          if (value !== undefined) this.inc(labels, value);
        }
      },
    });

  new Gauge({
    name: 'autoglm_engine_state',
    help: '1 for the state that an engine is in, 0 for the others.',
    labelNames: [...labelNames, 'tier', 'state'],
    registers: [registry],
    collect() {
      this.reset();
      for (const { name, model, tier, status } of engines()) {
        for (const state of states) this.set({ model_name: model, engine: name, tier, state }, status.state === state ? 1 : 0);
      }
    },
  });
  gauge('vllm:num_requests_running', 'Sequences in the batch of an engine.', ({ running }) => running);
  gauge('vllm:num_requests_waiting', 'Sequences waiting for a place in the batch.', ({ waiting }) => waiting);
  gauge('vllm:kv_cache_usage_perc', 'KV cache usage. 1 means 100 percent usage.', ({ kvUsedTokens, kvCapacityTokens }) =>
    kvCapacityTokens > 0 ? kvUsedTokens / kvCapacityTokens : undefined,
  );
  counter('vllm:prefix_cache_queries_total', 'Prompt tokens that were looked for in the KV cache.', ({ promptTokens }) => promptTokens);
  counter('vllm:prefix_cache_hits_total', 'Prompt tokens that were found in the KV cache.', ({ cachedTokens }) => cachedTokens);
  counter(
    'vllm:num_preemptions_total',
    'Times that a sequence gave its place to another, or lost it for want of memory.',
    ({ suspensions }) => suspensions,
  );
  counter('vllm:spec_decode_num_drafts_total', 'Drafts that were verified, of single sequences.', ({ drafts }) => drafts?.count);
  counter('vllm:spec_decode_num_draft_tokens_total', 'Tokens of the drafts that were verified.', ({ drafts }) => drafts?.tokens);
  counter(
    'vllm:spec_decode_num_accepted_tokens_total',
    'Tokens of drafts that turned out to be the answer’s.',
    ({ drafts }) => drafts?.acceptedTokens,
  );
  counter(
    'autoglm_engine_generated_tokens_total',
    'Tokens that an engine generated, those of abandoned answers included.',
    ({ generatedTokens }) => generatedTokens,
  );
  counter('autoglm_engine_cpu_seconds_total', 'Processor time of the engine process in seconds.', ({ process }) => process?.cpuSeconds);
  gauge('autoglm_engine_resident_memory_bytes', 'Resident memory of the engine process in bytes.', ({ process }) => process?.residentBytes);
  gauge(
    'autoglm_engine_heap_used_bytes',
    'JavaScript heap in use in the engine process in bytes.',
    ({ process }) => process?.heapUsedBytes,
  );
  gauge(
    'autoglm_engine_eventloop_lag_p99_seconds',
    'Delay of the event loop of the engine process at the 99th percentile of its last report, in seconds; a step blocks it.',
    ({ process }) => seconds(process?.loopDelayMs.p99),
  );
  gauge(
    'autoglm_engine_eventloop_lag_max_seconds',
    'Longest delay of the event loop of the engine process in its last report, in seconds.',
    ({ process }) => seconds(process?.loopDelayMs.max),
  );
  counter(
    'autoglm_engine_gc_seconds_total',
    'Pauses of the garbage collector of the engine process in seconds.',
    ({ process }) => process?.gcSeconds,
  );
  counter('autoglm_engine_gc_pauses_total', 'Pauses of the garbage collector of the engine process.', ({ process }) => process?.gcCount);

  registerHistograms(registry, told);
}

/** Counted by the engine, step by step; taken over as they stand. */
function registerHistograms(registry: Registry, told: () => readonly { readonly labels: Labels; readonly stats: EngineStats }[]): void {
  new HistogramFamily({
    registry,
    name: 'autoglm_engine_batch_size',
    help: 'Sequences in a step of an engine.',
    bounds: batchSizes,
    collect: (family) => told().forEach(({ labels, stats }) => family.load(labels, stats.batchSize, 1)),
  });
  new HistogramFamily({
    registry,
    name: 'vllm:inter_token_latency_seconds',
    help: 'Time between two tokens of a sequence in seconds.',
    bounds: tokenSeconds,
    collect: (family) => told().forEach(({ labels, stats }) => family.load(labels, stats.interTokenMs, 1 / 1000)),
  });
}

/** An engine that answers to two names works once: under both, its numbers would count twice in every sum. */
function onceEach(engines: readonly ListedReplica[]): readonly ListedReplica[] {
  return engines.filter(({ name }, index) => engines.findIndex((other) => other.name === name) === index);
}

function setIfKnown(gauge: Gauge, labels: Labels, value: number | undefined): void {
  if (value !== undefined) gauge.set(labels, value);
}

function seconds(milliseconds: number | undefined): number | undefined {
  return milliseconds === undefined ? undefined : milliseconds / 1000;
}
