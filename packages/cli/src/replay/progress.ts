import type { ReplayProgress } from './run-replay.ts';
import { formatDuration } from './report/text.ts';

const barWidth = 24;
const lineEveryMs = 10_000;

export interface ProgressPlan {
  readonly requestCount: number;
  /** How long the schedule is; answers may end after it. */
  readonly lengthMs: number;
}

/** A bar that redraws itself on a terminal, a line now and then anywhere else. */
export class ProgressDisplay {
  readonly #stream: NodeJS.WriteStream;
  #plan: ProgressPlan | undefined;
  #startedAtMs = 0;
  #lastLineAtMs = 0;
  #isDrawn = false;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  begin(plan: ProgressPlan): void {
    this.#plan = plan;
    this.#startedAtMs = this.#lastLineAtMs = performance.now();
  }

  show(progress: ReplayProgress): void {
    if (!this.#plan) return;
    const nowMs = performance.now();
    const text = formatProgress(progress, this.#plan, nowMs - this.#startedAtMs);
    if (this.#stream.isTTY) {
      this.#stream.write(`\r\x1b[2K${text.slice(0, this.#stream.columns - 1)}`);
      this.#isDrawn = true;
    } else if (nowMs - this.#lastLineAtMs >= lineEveryMs) {
      this.#lastLineAtMs = nowMs;
      this.#stream.write(`${text}\n`);
    }
  }

  /** Before anything else is written. */
  clear(): void {
    if (this.#isDrawn) this.#stream.write('\r\x1b[2K');
    this.#isDrawn = false;
  }
}

export function formatProgress({ endedCount, failedCount, inFlight }: ReplayProgress, { requestCount, lengthMs }: ProgressPlan, elapsedMs: number): string {
  const share = Math.min(1, requestCount === 0 ? 1 : endedCount / requestCount);
  const full = Math.floor(share * barWidth);
  const bar = '█'.repeat(full) + '░'.repeat(barWidth - full);
  const errors = failedCount === 0 ? '' : ` · ${failedCount} not answered`;
  const time = elapsedMs <= lengthMs ? `${formatDuration(elapsedMs)} of ${formatDuration(lengthMs)}` : `${formatDuration(elapsedMs)}, waiting for the last answers`;
  return `${bar} ${Math.floor(share * 100)} % · ${endedCount}/${requestCount} ended · ${inFlight} in flight${errors} · ${time}`;
}
