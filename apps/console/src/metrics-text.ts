/** One line of `/metrics`. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Samples by name, a histogram's buckets, sums and counts each under theirs. */
export type Reading = ReadonlyMap<string, readonly Sample[]>;

const line = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (NaN|[+-]?Inf|[-+.\d][-+.\deE]*)/;
const label = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** Reads Prometheus' text format (version 0.0.4); what is no sample is passed over. */
export function readMetrics(text: string): Reading {
  const reading = new Map<string, Sample[]>();
  for (const each of text.split('\n')) {
    const [, name, labels = '', value] = line.exec(each) ?? [];
    if (name === undefined) continue;
    const samples = reading.get(name) ?? [];
    samples.push({ labels: readLabels(labels), value: Number(value?.replace('Inf', 'Infinity')) });
    reading.set(name, samples);
  }
  return reading;
}

function readLabels(text: string): Record<string, string> {
  return Object.fromEntries(
    Array.from(text.matchAll(label), ([, name, value = '']) => [
      name,
      value.replace(/\\(.)/g, (_, mark: string) => (mark === 'n' ? '\n' : mark)),
    ]),
  );
}
