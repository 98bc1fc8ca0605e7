/** What a request is made of, as far as it matters to who should answer it. */
export const inputKinds = ['text', 'structured', 'image'] as const;
export type InputKind = (typeof inputKinds)[number];

/** A processor beside the main one. */
export interface AcceleratorReport {
  readonly name: string;
  /** Bytes. */
  readonly memoryTotal: number;
  readonly memoryFree: number;
  /** 0 … 1. */
  readonly busy: number;
}

/** What a device says of itself. */
export interface DeviceReport {
  readonly cores: number;
  /** Processes that run or wait for a core, as the operating system averages them. */
  readonly load: number;
  /** Bytes. */
  readonly memoryTotal: number;
  readonly memoryFree: number;
  readonly accelerators: readonly AcceleratorReport[];
  /** Between the device and here, there and back; undefined: not measured. */
  readonly latencyMs: number | undefined;
  readonly accepts: readonly InputKind[];
  /** How often it reports. */
  readonly intervalMs: number;
}

/** A device as it is known here. */
export interface ListedDevice {
  readonly id: string;
  readonly isAlive: boolean;
  /** Since its last report. */
  readonly ageMs: number;
  readonly report: DeviceReport;
  readonly scores: Readonly<Record<InputKind, number>>;
}

/** Where devices report, and are looked at. */
export interface DeviceRegistry {
  /** Throws `device_limit_exceeded`. */
  beat(id: string, report: DeviceReport): void;
  /** Whether it has reported. */
  has(id: string): boolean;
  list(): readonly ListedDevice[];
}

/** What the router sees of the device that an engine runs on. */
export interface DevicePlace {
  readonly id: string;
  /** Whether it is there, and takes this kind of input. */
  mayTake(kind: InputKind): boolean;
  /** Above 0; the higher, the more room it has. `latencyMs`: as measured at its engine, where the device tells none. */
  score(kind: InputKind, latencyMs: number): number;
}
