import type { DeviceReport } from '../../common/device-registry.ts';

/** A gateway that wants to know of this device. */
export interface ReportTarget {
  /** Its base: `http://gateway:8080`. */
  readonly url: string;
  readonly token: string | undefined;
  readonly apiKey: string | undefined;
}

export interface ReporterOptions {
  readonly id: string;
  readonly intervalMs: number;
  readonly targets: readonly ReportTarget[];
  /** Told of every report, for this process's own table. */
  readonly onReport: (report: DeviceReport) => void;
  readonly report: (latencyMs: number | undefined) => Promise<DeviceReport>;
  /** Told when a target stops taking reports, and when it takes them again. */
  readonly onTarget: (url: string, problem: string | undefined) => void;
}

/**
 * Says how this device is, at once and then once in an interval: here, and to every target. A target that is slow holds up neither the
 * others nor the next report but its own; a report that could not be delivered is worth nothing later, and is not kept.
 */
export class DeviceReporter {
  readonly #options: ReporterOptions;
  readonly #timer: NodeJS.Timeout;
  readonly #closed = new AbortController();
  readonly #links: readonly Link[];
  #isReporting = false;

  constructor(options: ReporterOptions) {
    this.#options = options;
    this.#links = options.targets.map((target) => new Link(target, options));
    this.#timer = setInterval(() => void this.#report(), options.intervalMs);
    this.#timer.unref();
    void this.#report();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#closed.abort();
  }

  async #report(): Promise<void> {
    if (this.#isReporting) return;
    this.#isReporting = true;
    try {
      const report = await this.#options.report(0);
      if (this.#closed.signal.aborted) return;
      this.#options.onReport(report);
      for (const link of this.#links) void link.send(report, this.#closed.signal);
    } finally {
      this.#isReporting = false;
    }
  }
}

/** The way to one target. */
class Link {
  readonly #target: ReportTarget;
  readonly #options: ReporterOptions;
  #isSending = false;
  #latencyMs: number | undefined;
  #problem: string | undefined;

  constructor(target: ReportTarget, options: ReporterOptions) {
    this.#target = target;
    this.#options = options;
  }

  /** Never rejects. */
  async send(report: DeviceReport, closed: AbortSignal): Promise<void> {
    if (this.#isSending) return;
    this.#isSending = true;
    const { url, token, apiKey } = this.#target;
    const { id, intervalMs, onTarget } = this.#options;
    const sentAtMs = performance.now();
    let problem: string | undefined;
    try {
      const response = await fetch(`${url.replace(/\/+$/, '')}/v1/devices/${encodeURIComponent(id)}/heartbeat`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(token !== undefined && { 'x-autoglm-device-token': token }),
          ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
        },
        body: JSON.stringify(toWire({ ...report, latencyMs: this.#latencyMs })),
        signal: AbortSignal.any([closed, AbortSignal.timeout(Math.max(1000, intervalMs))]),
      });
      await response.arrayBuffer();
      this.#latencyMs = performance.now() - sentAtMs;
      if (!response.ok) problem = `it answers with status ${response.status}`;
    } catch (error) {
      if (closed.aborted) return;
      problem = `it cannot be reached (${((error as Error).cause as NodeJS.ErrnoException | undefined)?.code ?? (error as Error).name})`;
    } finally {
      this.#isSending = false;
    }
    if (problem !== this.#problem) onTarget(url, problem);
    this.#problem = problem;
  }
}

/** As `POST /v1/devices/{id}/heartbeat` takes it. */
export function toWire({ cores, load, memoryTotal, memoryFree, accelerators, latencyMs, accepts, intervalMs }: DeviceReport): object {
  return {
    cpu: { cores, load },
    memory: { total_bytes: memoryTotal, free_bytes: memoryFree },
    accelerators: accelerators.map((accelerator) => ({
      name: accelerator.name,
      memory_total_bytes: accelerator.memoryTotal,
      memory_free_bytes: accelerator.memoryFree,
      busy: accelerator.busy,
    })),
    ...(latencyMs !== undefined && { latency_ms: latencyMs }),
    accepts,
    interval_ms: intervalMs,
  };
}
