import type { DeviceReport } from '../../common/device-registry.ts';

/** What room of each sort is worth. */
export interface DeviceWeights {
  readonly cpu: number;
  readonly memory: number;
  readonly latency: number;
  readonly accelerator: number;
}

/** No device that is there is worth nothing: with all of them full, the least full one must still be found. */
export const scoreMin = 1e-6;

/**
 * `cpu · idle cores + memory · free memory + latency / latency + accelerator · its room`, each share 0 … 1; latency is counted in units of
 * `latencyUnitMs`, at least one. Finite and above 0 for any report, however wrong.
 */
export function scoreDevice(report: DeviceReport, weights: DeviceWeights, latencyMs: number, latencyUnitMs: number): number {
  const { cores, load, memoryTotal, memoryFree, accelerators } = report;
  const idle = share(cores - load, cores);
  const free = share(memoryFree, memoryTotal);
  const near = 1 / Math.max(1, known(report.latencyMs ?? latencyMs) / latencyUnitMs);
  const room = Math.max(
    0,
    ...accelerators.map((accelerator) => share(accelerator.memoryFree, accelerator.memoryTotal) * (1 - share(accelerator.busy, 1))),
  );
  return Math.max(scoreMin, weights.cpu * idle + weights.memory * free + weights.latency * near + weights.accelerator * room);
}

function share(part: number, whole: number): number {
  const ratio = part / whole;
  return Number.isFinite(ratio) ? Math.max(0, Math.min(1, ratio)) : 0;
}

function known(ms: number): number {
  return Number.isFinite(ms) && ms > 0 ? ms : 0;
}
