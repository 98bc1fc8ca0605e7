import type { GenerateRequest } from '@open-autoglm/protocol';

/** `performance.now()` begins with each process; both count by the machine's monotonic clock. Milliseconds between the two beginnings. */
const offsetMs = Number(process.hrtime.bigint()) / 1e6 - performance.now();

export function toMachineMs(ownMs: number): number {
  return ownMs + offsetMs;
}

export function fromMachineMs(machineMs: number): number {
  return machineMs - offsetMs;
}

/** A request whose times another process can read. */
export function onClock(request: GenerateRequest, convert: (milliseconds: number) => number): GenerateRequest {
  const { standing } = request;
  if (standing?.waitsSinceMs === undefined) return request;
  return { ...request, standing: { ...standing, waitsSinceMs: convert(standing.waitsSinceMs) } };
}
