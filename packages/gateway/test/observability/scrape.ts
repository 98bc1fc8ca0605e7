import parse from 'parse-prometheus-text-format';

type Labels = Readonly<Record<string, string>>;

/** A family as the library's parser tells it; of histograms it keeps no labels, so the samples are read apart. */
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: 'COUNTER' | 'GAUGE' | 'HISTOGRAM' | 'SUMMARY' | 'UNTYPED';
}

export interface Sample {
  readonly name: string;
  readonly labels: Labels;
  readonly value: number;
}

/** One series of a histogram. */
export interface Histogram {
  readonly name: string;
  readonly labels: Labels;
  /** How many are up to each bound. */
  readonly buckets: readonly { readonly bound: number; readonly count: number }[];
  readonly count: number;
  readonly sum: number;
}

export interface Scrape {
  readonly text: string;
  readonly families: readonly Family[];
  readonly samples: readonly Sample[];
  readonly histograms: readonly Histogram[];
  /** All samples of a counter or gauge added up whose labels include these; throws when no family has the name. */
  value(name: string, labels?: Labels): number;
  /** The observations of all series of a histogram added up whose labels include these. */
  count(name: string, labels?: Labels): number;
}

/** Reads a server's `/metrics`. */
export async function scrape(url: string): Promise<Scrape> {
  const response = await fetch(`${url}/metrics`);
  if (response.status !== 200) throw new Error(`/metrics answered ${response.status}: ${await response.text()}`);
  return readMetrics(await response.text());
}

export function readMetrics(text: string): Scrape {
  const families = parse(text) as readonly Family[];
  const samples = samplesOf(text);
  const sum = (family: string, name: string, labels: Labels) => {
    if (!families.some((candidate) => candidate.name === family)) throw new Error(`there is no metric ${family}`);
    return samples
      .filter((sample) => sample.name === name && includes(sample.labels, labels))
      .reduce((total, { value }) => total + value, 0);
  };
  return {
    text,
    families,
    samples,
    histograms: families.filter(({ type }) => type === 'HISTOGRAM').flatMap(({ name }) => histogramsOf(name, samples)),
    value: (name, labels = {}) => sum(name, name, labels),
    count: (name, labels = {}) => sum(name, `${name}_count`, labels),
  };
}

/** Without their types, the parser gives every sample as it stands. */
function samplesOf(text: string): Sample[] {
  const untyped = parse(text.replace(/^#.*\n/gm, '')) as readonly {
    readonly name: string;
    readonly metrics: readonly { readonly labels?: Labels; readonly value: string }[];
  }[];
  return untyped.flatMap(({ name, metrics }) => metrics.map(({ labels = {}, value }) => ({ name, labels, value: Number(value) })));
}

function histogramsOf(name: string, samples: readonly Sample[]): Histogram[] {
  return samples
    .filter((sample) => sample.name === `${name}_count`)
    .map(({ labels, value: count }) => {
      const of = (part: string) => samples.filter((sample) => sample.name === `${name}_${part}` && includes(sample.labels, labels));
      const buckets = of('bucket').map((sample) => ({
        bound: sample.labels['le'] === '+Inf' ? Infinity : Number(sample.labels['le']),
        count: sample.value,
      }));
      return { name, labels, buckets, count, sum: of('sum')[0]?.value ?? NaN };
    });
}

function includes(labels: Labels, wanted: Labels): boolean {
  return Object.entries(wanted).every(([label, value]) => labels[label] === value);
}
