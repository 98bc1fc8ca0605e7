import type { Reading, Sample } from './metrics-text.ts';

/** Rates and quantiles are of a minute. */
export const windowMs = 60_000;

/** Less would be shown as 0.0. */
const slowdownSecondsMin = 0.05;

/** What `/metrics` said at one moment, in milliseconds of the page's clock. */
export interface TimedReading {
  readonly atMs: number;
  readonly reading: Reading;
}

/** What made requests slow lately, and by how many seconds in all. */
export interface Slowdown {
  readonly segment: string;
  readonly detail: string;
  readonly seconds: number;
}

/**
 * How the server does: gauges of the last reading, rates and quantiles between the first and the last. Undefined: not known, or nothing of
 * it happened.
 */
export interface LiveFigures {
  readonly running: number;
  readonly waiting: number;
  readonly requestsPerSecond: number | undefined;
  readonly tokensPerSecond: number | undefined;
  readonly promptTokensPerSecond: number | undefined;
  readonly ttftMs: Quantiles | undefined;
  readonly tokenMs: Quantiles | undefined;
  /** Shares from 0 to 1. */
  readonly kvUse: number | undefined;
  readonly prefixHits: number | undefined;
  readonly cacheHits: number | undefined;
  /** Of the gateway and its engines together. */
  readonly cores: number | undefined;
  readonly memoryBytes: number;
  /** The costliest first. */
  readonly slowdowns: readonly Slowdown[];
}

export interface Quantiles {
  readonly p50: number;
  readonly p99: number;
}

/**
 * The readings that go with a new one, and it: of the minute before it, and of the same process, for the counters of another begin anew. While
 * the page was hidden or the server was gone nothing was read, and what lies between would be told as of now.
 */
export function withReading(readings: readonly TimedReading[], found: TimedReading): readonly TimedReading[] {
  const startedAt = ({ reading }: TimedReading) => reading.get('process_start_time_seconds')?.[0]?.value;
  return [...readings.filter((each) => found.atMs - each.atMs <= windowMs && startedAt(each) === startedAt(found)), found];
}

/** From readings in the order of time, of which there is one at least. */
export function figuresOf(readings: readonly TimedReading[]): LiveFigures {
  const [first, last] = [readings[0] as TimedReading, readings.at(-1) as TimedReading];
  const now = last.reading;
  const seconds = (last.atMs - first.atMs) / 1000;
  const grown = (name: string, isWanted: (sample: Sample) => boolean = () => true) =>
    Math.max(0, sum(now, name, isWanted) - sum(first.reading, name, isWanted));
  const rate = (...names: string[]) => (seconds > 0 ? names.reduce((all, name) => all + grown(name), 0) / seconds : undefined);
  const isLookup = ({ labels }: Sample) => labels['result'] !== 'off';
  const isHit = ({ labels }: Sample) => labels['result'] !== 'off' && labels['result'] !== 'miss';
  const lookups = 'autoglm_response_cache_lookups_total';
  const kvUses = now.get('vllm:kv_cache_usage_perc') ?? [];
  return {
    running: sum(now, 'autoglm_active_requests'),
    waiting: sum(now, 'autoglm_admission_waiting') + sum(now, 'vllm:num_requests_waiting'),
    requestsPerSecond: rate('autoglm_requests_total'),
    tokensPerSecond: rate('vllm:generation_tokens_total'),
    promptTokensPerSecond: rate('vllm:prompt_tokens_total'),
    ttftMs: quantilesBetween(first.reading, now, 'vllm:time_to_first_token_seconds_bucket'),
    tokenMs: quantilesBetween(first.reading, now, 'vllm:request_time_per_output_token_seconds_bucket'),
    kvUse: kvUses.length === 0 ? undefined : Math.max(...kvUses.map(({ value }) => value)),
    prefixHits: share(grown('vllm:prefix_cache_hits_total'), grown('vllm:prefix_cache_queries_total')),
    cacheHits: share(grown(lookups, isHit), grown(lookups, isLookup)),
    cores: rate('process_cpu_seconds_total', 'autoglm_engine_cpu_seconds_total'),
    memoryBytes: sum(now, 'process_resident_memory_bytes') + sum(now, 'autoglm_engine_resident_memory_bytes'),
    slowdowns: slowdownsOf(now),
  };
}

function sum(reading: Reading, name: string, isWanted: (sample: Sample) => boolean = () => true): number {
  return (reading.get(name) ?? []).reduce((all, sample) => (isWanted(sample) ? all + sample.value : all), 0);
}

function share(part: number, whole: number): number | undefined {
  return whole > 0 ? part / whole : undefined;
}

function slowdownsOf(reading: Reading): Slowdown[] {
  return (reading.get('autoglm_bottleneck_recent_seconds') ?? [])
    .map(({ labels: { segment = '', detail = '' }, value }) => ({ segment, detail, seconds: value }))
    .filter(({ seconds }) => seconds >= slowdownSecondsMin)
    .sort((a, b) => b.seconds - a.seconds);
}

function quantilesBetween(first: Reading, last: Reading, name: string): Quantiles | undefined {
  const before = bucketsOf(first, name);
  const buckets = [...bucketsOf(last, name)].map(([bound, count]) => ({ bound, count: count - (before.get(bound) ?? 0) }));
  const total = buckets.at(-1)?.count ?? 0;
  if (total <= 0) return undefined;
  return { p50: quantileOf(buckets, 0.5 * total) * 1000, p99: quantileOf(buckets, 0.99 * total) * 1000 };
}

/** Counts up to each bound, of all models together, by ascending bound. */
function bucketsOf(reading: Reading, name: string): Map<number, number> {
  const counts = new Map<number, number>();
  for (const { labels, value } of reading.get(name) ?? []) {
    const bound = labels['le'] === '+Inf' ? Infinity : Number(labels['le']);
    counts.set(bound, (counts.get(bound) ?? 0) + value);
  }
  return new Map([...counts].sort(([a], [b]) => a - b));
}

/** As Prometheus' `histogram_quantile`: even within a bucket, and of what is above all bounds the greatest of them. */
function quantileOf(buckets: readonly { readonly bound: number; readonly count: number }[], rank: number): number {
  let below = { bound: 0, count: 0 };
  for (const bucket of buckets) {
    if (bucket.count >= rank) {
      if (bucket.bound === Infinity) return below.bound;
      return below.bound + ((bucket.bound - below.bound) * (rank - below.count)) / (bucket.count - below.count);
    }
    below = bucket;
  }
  return below.bound;
}
