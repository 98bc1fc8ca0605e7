import { execFile } from 'node:child_process';
import { Gauge, type Registry } from 'prom-client';

/** One card, as `nvidia-smi` tells; what it cannot tell is undefined. */
export interface GpuReading {
  readonly id: string;
  readonly model: string;
  readonly utilization: number | undefined;
  readonly memoryUsedBytes: number | undefined;
  readonly memoryTotalBytes: number | undefined;
  readonly powerWatts: number | undefined;
  readonly temperatureCelsius: number | undefined;
}

const program = 'nvidia-smi';
const query = ['uuid', 'name', 'utilization.gpu', 'memory.used', 'memory.total', 'power.draw', 'temperature.gpu'];
/** The program takes a driver's lock, and up to a second. */
const intervalMs = 5000;
const timeoutMs = 3000;
const outputBytesMax = 64 * 1024;

/**
 * Asks `nvidia-smi` when somebody wants to know, at most every five seconds; several who want to know at once share one
 * answer. A machine that has no such program is asked once.
 */
export class GpuReader {
  readonly #now: () => number;
  #readings: Promise<readonly GpuReading[]> = Promise.resolve([]);
  #askedAtMs = -Infinity;
  #isMissing = false;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  read(): Promise<readonly GpuReading[]> {
    if (this.#isMissing || this.#now() - this.#askedAtMs < intervalMs) return this.#readings;
    this.#askedAtMs = this.#now();
    this.#readings = this.#ask();
    return this.#readings;
  }

  #ask(): Promise<readonly GpuReading[]> {
    return new Promise((resolve) => {
      execFile(
        program,
        [`--query-gpu=${query.join()}`, '--format=csv,noheader,nounits'],
        { timeout: timeoutMs, maxBuffer: outputBytesMax },
        (error, output) => {
          if ((error as NodeJS.ErrnoException | null)?.code === 'ENOENT') this.#isMissing = true;
          // A driver that does not answer tells nothing, which is better than something old.
          resolve(error ? [] : parseReadings(output));
        },
      );
    });
  }
}

/** Of the program's CSV; lines that are not of it are left out. */
export function parseReadings(output: string): GpuReading[] {
  const mebibytes = (text: string | undefined) => scaled(text, 2 ** 20);
  return output.split('\n').flatMap((line) => {
    const [id, model, utilization, used, total, power, temperature, ...more] = line.split(', ').map((cell) => cell.trim());
    if (!id || !model || temperature === undefined || more.length > 0) return [];
    return [
      {
        id,
        model,
        utilization: scaled(utilization, 1 / 100),
        memoryUsedBytes: mebibytes(used),
        memoryTotalBytes: mebibytes(total),
        powerWatts: scaled(power, 1),
        temperatureCelsius: scaled(temperature, 1),
      },
    ];
  });
}

function scaled(text: string | undefined, factor: number): number | undefined {
  // Such as [N/A] and [Not Supported].
  const value = Number(text);
  return text === '' || !Number.isFinite(value) ? undefined : value * factor;
}

/** Under the names of OpenTelemetry's hardware conventions. Without a card, or without the program, there are no series. */
export function registerGpuMetrics(registry: Registry, reader: GpuReader): void {
  const gauge = (name: string, help: string, read: (reading: GpuReading) => number | undefined) =>
    new Gauge({
      name,
      help,
      labelNames: ['hw_id', 'hw_type', 'hw_model'],
      registers: [registry],
      async collect() {
        const readings = await reader.read();
        this.reset();
        for (const reading of readings) {
          const value = read(reading);
          if (value !== undefined) this.set({ hw_id: reading.id, hw_type: 'gpu', hw_model: reading.model }, value);
        }
      },
    });
  gauge('hw_gpu_utilization_ratio', 'Fraction of time in which the GPU was busy.', ({ utilization }) => utilization);
  gauge('hw_gpu_memory_usage_bytes', 'GPU memory in use in bytes.', ({ memoryUsedBytes }) => memoryUsedBytes);
  gauge('hw_gpu_memory_limit_bytes', 'GPU memory in bytes.', ({ memoryTotalBytes }) => memoryTotalBytes);
  gauge('hw_power_watts', 'Power that the GPU draws in watts.', ({ powerWatts }) => powerWatts);
  gauge('hw_temperature_celsius', 'Temperature of the GPU in degrees Celsius.', ({ temperatureCelsius }) => temperatureCelsius);
}
