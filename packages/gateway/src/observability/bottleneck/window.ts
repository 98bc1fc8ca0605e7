import type { Bottleneck } from '@open-autoglm/protocol';

/** Requests that slowed down for the same reason. */
export interface CommonBottleneck extends Pick<Bottleneck, 'segment' | 'cause' | 'detail'> {
  readonly requests: number;
  /** By which they took longer than expected, added up. */
  readonly excessMs: number;
}

export interface WindowSummary {
  readonly requests: number;
  /** The costliest first. */
  readonly bottlenecks: readonly CommonBottleneck[];
}

/** The most recent requests: at most so many, none older than that. */
const capacity = 256;
const spanMs = 60_000;

interface Entry {
  readonly atMs: number;
  readonly bottleneck: Bottleneck | undefined;
}

/** What slows requests down at present. */
export class BottleneckWindow {
  readonly #entries: Entry[] = [];
  #next = 0;

  add(atMs: number, bottleneck: Bottleneck | undefined): void {
    this.#entries[this.#next] = { atMs, bottleneck };
    this.#next = (this.#next + 1) % capacity;
  }

  summary(nowMs: number): WindowSummary {
    const recent = this.#entries.filter(({ atMs }) => nowMs - atMs <= spanMs);
    const found = new Map<string, CommonBottleneck>();
    for (const { bottleneck } of recent) {
      if (!bottleneck) continue;
      const { segment, cause, detail, durationMs, expectedMs } = bottleneck;
      const { requests, excessMs } = found.get(`${segment} ${detail}`) ?? { requests: 0, excessMs: 0 };
      found.set(`${segment} ${detail}`, { segment, cause, detail, requests: requests + 1, excessMs: excessMs + durationMs - expectedMs });
    }
    return { requests: recent.length, bottlenecks: [...found.values()].sort((a, b) => b.excessMs - a.excessMs) };
  }
}
