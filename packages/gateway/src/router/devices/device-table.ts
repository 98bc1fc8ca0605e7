import { AutoglmError } from '@open-autoglm/protocol';
import {
  inputKinds,
  type DevicePlace,
  type DeviceRegistry,
  type DeviceReport,
  type InputKind,
  type ListedDevice,
} from '../../common/device-registry.ts';
import { scoreDevice, scoreMin, type DeviceWeights } from './score.ts';

/** A device that reports rarely is given so many of its own intervals. */
const beatsMissedMax = 3;

export interface DeviceTableOptions {
  readonly devicesMax: number;
  /** One that is silent for so long is out, and for three of its own intervals where those are longer. */
  readonly timeoutMs: number;
  readonly weights: Readonly<Record<InputKind, DeviceWeights>>;
  readonly latencyUnitMs: number;
  /** Milliseconds on any clock that does not go back. */
  readonly now: () => number;
}

interface Entry {
  readonly report: DeviceReport;
  readonly atMs: number;
}

/**
 * Devices as they last reported: at most so many. Where a new one finds no room, the one that has been silent longest goes, if it is out.
 */
export class DeviceTable implements DeviceRegistry {
  readonly #options: DeviceTableOptions;
  /** The one that reported longest ago is first. */
  readonly #entries = new Map<string, Entry>();

  constructor(options: DeviceTableOptions) {
    this.#options = options;
  }

  beat(id: string, report: DeviceReport): void {
    if (!this.#entries.delete(id) && this.#entries.size >= this.#options.devicesMax) this.#makeRoom();
    this.#entries.set(id, { report, atMs: this.#options.now() });
  }

  has(id: string): boolean {
    return this.#entries.has(id);
  }

  list(): readonly ListedDevice[] {
    const now = this.#options.now();
    return Array.from(this.#entries, ([id, entry]) => ({
      id,
      isAlive: this.#isAlive(entry),
      ageMs: now - entry.atMs,
      report: entry.report,
      scores: Object.fromEntries(inputKinds.map((kind) => [kind, this.#score(entry.report, kind, 0)])) as Record<InputKind, number>,
    }));
  }

  /** A device that has not reported yet is not there; the one that all of this runs on always is, whenever its own timers come to run. */
  placeOf(id: string, isOwn = false): DevicePlace {
    return {
      id,
      mayTake: (kind) => {
        const entry = this.#entries.get(id);
        if (!entry) return isOwn;
        return (isOwn || this.#isAlive(entry)) && entry.report.accepts.includes(kind);
      },
      score: (kind, latencyMs) => {
        const entry = this.#entries.get(id);
        return entry ? this.#score(entry.report, kind, latencyMs) : scoreMin;
      },
    };
  }

  #makeRoom(): void {
    for (const [id, entry] of this.#entries) {
      if (!this.#isAlive(entry)) return void this.#entries.delete(id);
    }
    throw new AutoglmError('device_limit_exceeded', `${this.#entries.size} devices report here already (devices.devices_max).`, {
      retryAfterSeconds: 60,
    });
  }

  #isAlive({ report, atMs }: Entry): boolean {
    return this.#options.now() - atMs <= Math.max(this.#options.timeoutMs, report.intervalMs * beatsMissedMax);
  }

  #score(report: DeviceReport, kind: InputKind, latencyMs: number): number {
    return scoreDevice(report, this.#options.weights[kind], latencyMs, this.#options.latencyUnitMs);
  }
}
