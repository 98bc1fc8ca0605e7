import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { Counter, type Registry } from 'prom-client';

/** Where Linux shows the energy counters of Intel's and AMD's processors (RAPL). */
const powercapFolder = '/sys/class/powercap';

interface Zone {
  /** `intel-rapl:0`, `intel-rapl:0:1`, … */
  readonly id: string;
  /** `package-0`, `core`, `dram`, … */
  readonly name: string;
  readonly file: string;
  /** Where the counter begins again, in microjoules. */
  readonly rangeMicrojoules: number;
  microjoules: number;
  joules: number;
}

/**
 * Energy used since the first reading, zone by zone. Only what the kernel counts: where it shows no counters, or only to
 * root, there are none, and nothing is estimated.
 */
export class EnergyReader {
  readonly #folder: string;
  #zones: Promise<Zone[]> | undefined;
  #reading: Promise<readonly Readonly<Zone>[]> | undefined;

  constructor(folder: string = powercapFolder) {
    this.#folder = folder;
  }

  /** Several who ask at once share one reading: out of order, an older one would look like a counter that began again. */
  read(): Promise<readonly Readonly<Zone>[]> {
    return (this.#reading ??= this.#read().finally(() => (this.#reading = undefined)));
  }

  async #read(): Promise<readonly Readonly<Zone>[]> {
    const zones = await (this.#zones ??= this.#find());
    for (const zone of zones) {
      const microjoules = await readNumber(zone.file);
      if (microjoules === undefined) continue;
      const step = microjoules - zone.microjoules;
      zone.joules += (step >= 0 ? step : step + zone.rangeMicrojoules) / 1e6;
      zone.microjoules = microjoules;
    }
    return zones;
  }

  async #find(): Promise<Zone[]> {
    // intel-rapl-mmio is a second way to the same counters.
    const ids = (await readdir(this.#folder).catch(() => [])).filter((id) => /^intel-rapl:\d/.test(id)).sort();
    const zones = await Promise.all(ids.map((id) => openZone(path.join(this.#folder, id), id)));
    return zones.filter((zone) => zone !== undefined);
  }
}

async function openZone(folder: string, id: string): Promise<Zone | undefined> {
  const file = path.join(folder, 'energy_uj');
  const name = await readFile(path.join(folder, 'name'), 'utf8').catch(() => undefined);
  const microjoules = await readNumber(file);
  const rangeMicrojoules = await readNumber(path.join(folder, 'max_energy_range_uj'));
  if (name === undefined || microjoules === undefined || rangeMicrojoules === undefined) return undefined;
  return { id, name: name.trim(), file, rangeMicrojoules, microjoules, joules: 0 };
}

async function readNumber(file: string): Promise<number | undefined> {
  const text = (await readFile(file, 'utf8').catch(() => '')).trim();
  return /^\d+$/.test(text) ? Number(text) : undefined;
}

/** Under the name of OpenTelemetry's hardware conventions. */
export function registerEnergyMetrics(registry: Registry, reader: EnergyReader): void {
  new Counter({
    name: 'hw_energy_joules_total',
    help: 'Energy used since the first reading in joules, as the processor counts it.',
    labelNames: ['hw_id', 'hw_type', 'hw_name'],
    registers: [registry],
    async collect() {
      const zones = await reader.read();
      this.reset();
      for (const { id, name, joules } of zones) this.inc({ hw_id: id, hw_type: 'cpu', hw_name: name }, joules);
    },
  });
}
