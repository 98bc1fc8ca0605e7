import { Counter, type Histogram, type Registry } from 'prom-client';
import type { BucketCounts } from '@open-autoglm/protocol';

export type Labels = Readonly<Record<string, string>>;

interface FamilyOptions {
  readonly registry: Registry;
  readonly name: string;
  readonly help: string;
}

/**
 * One of a family's series, which its owner keeps and writes to as to a number. prom-client's own classes check and join the
 * labels at every write, which only those who read should pay for.
 */
export class CounterSeries {
  readonly labels: Labels;
  value = 0;

  constructor(labels: Labels) {
    this.labels = labels;
  }

  add(amount = 1): void {
    this.value += amount;
  }
}

export class CounterFamily {
  readonly #series = new Map<string, CounterSeries>();

  constructor({ registry, name, help, labelNames }: FamilyOptions & { readonly labelNames: readonly string[] }) {
    const all = this.#series;
    new Counter({
      name,
      help,
      labelNames: [...labelNames],
      registers: [registry],
      collect() {
        this.reset();
        for (const { labels, value } of all.values()) this.inc(labels, value);
      },
    });
  }

  series(labels: Labels): CounterSeries {
    const key = keyOf(labels);
    const found = this.#series.get(key) ?? new CounterSeries(labels);
    this.#series.set(key, found);
    return found;
  }
}

export class HistogramSeries {
  readonly labels: Labels;
  readonly #bounds: Float64Array;
  /** One more than bounds: what is above them all. */
  readonly counts: Float64Array;
  sum = 0;

  constructor(labels: Labels, bounds: Float64Array) {
    this.labels = labels;
    this.#bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    (this.counts[this.#bucketOf(value)] as number) += 1;
    this.sum += value;
  }

  /** A bound of theirs that is not among ours counts to the next one up. */
  replace(bounds: readonly number[], counts: readonly number[], sum: number): void {
    this.counts.fill(0);
    for (const [index, count] of counts.entries()) (this.counts[this.#bucketOf(bounds[index] ?? Infinity)] as number) += count;
    this.sum = sum;
  }

  #bucketOf(value: number): number {
    let low = 0;
    let high = this.#bounds.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (value <= (this.#bounds[middle] as number)) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

type HistogramValue = Awaited<ReturnType<Histogram['get']>>['values'][number];

export class HistogramFamily {
  readonly name: string;
  readonly help: string;
  readonly type = 'histogram';
  readonly #bounds: Float64Array;
  readonly #series = new Map<string, HistogramSeries>();
  readonly #collect: (family: HistogramFamily) => void;

  /** `collect` is called before the values are read. */
  constructor({
    registry,
    name,
    help,
    bounds,
    collect = () => {},
  }: FamilyOptions & { readonly bounds: readonly number[]; readonly collect?: (family: HistogramFamily) => void }) {
    this.name = name;
    this.help = help;
    this.#collect = collect;
    this.#bounds = Float64Array.from(bounds);
    // The registry asks a metric for its name and its values only.
    registry.registerMetric(this as unknown as Histogram);
  }

  series(labels: Labels): HistogramSeries {
    const key = keyOf(labels);
    const found = this.#series.get(key) ?? new HistogramSeries(labels, this.#bounds);
    this.#series.set(key, found);
    return found;
  }

  /** Takes over what was counted elsewhere, in a unit of which `scale` make one of ours. Whoever counts may have other bounds. */
  load(labels: Labels, { bounds, counts, sum }: BucketCounts, scale: number): void {
    const series = this.series(labels);
    series.replace(
      bounds.map((bound) => bound * scale),
      counts,
      sum * scale,
    );
  }

  async get(): Promise<object> {
    this.#collect(this);
    return {
      name: this.name,
      help: this.help,
      type: this.type,
      values: [...this.#series.values()].flatMap((series) => this.#values(series)),
      aggregator: 'sum',
    };
  }

  #values({ labels, counts, sum }: HistogramSeries): HistogramValue[] {
    let count = 0;
    const buckets = Array.from(counts, (inBucket, index) => {
      count += inBucket;
      return {
        metricName: `${this.name}_bucket`,
        labels: { ...labels, le: index < this.#bounds.length ? String(this.#bounds[index]) : '+Inf' },
        value: count,
      };
    });
    return [...buckets, { metricName: `${this.name}_sum`, labels, value: sum }, { metricName: `${this.name}_count`, labels, value: count }];
  }
}

function keyOf(labels: Labels): string {
  return Object.values(labels).join('\u0000');
}
