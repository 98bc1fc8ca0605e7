import { createProgressBar } from '../terminal/progress-bar.ts';
import { formatDuration } from './report/text.ts';
import type { ReplayProgress } from './run-replay.ts';

export interface ProgressPlan {
  readonly requestCount: number;
  /** How long the schedule is; answers may end after it. */
  readonly lengthMs: number;
}

export interface ReplayProgressBar {
  show(progress: ReplayProgress): void;
  /** Before anything else is written. */
  clear(): void;
}

const drawEveryMs = 100;

export function startProgressBar(
  stream: NodeJS.WriteStream,
  plan: ProgressPlan,
  now: () => number = () => performance.now(),
): ReplayProgressBar {
  const bar = createProgressBar(stream);
  const startedAtMs = now();
  let drawnAtMs = -Infinity;
  return {
    show(progress) {
      if (now() - drawnAtMs < drawEveryMs) return;
      drawnAtMs = now();
      bar.report(Math.min(1, progress.endedCount / plan.requestCount), formatProgress(progress, plan, now() - startedAtMs));
    },
    clear: () => bar.clear(),
  };
}

export function formatProgress(
  { endedCount, failedCount, inFlight }: ReplayProgress,
  { requestCount, lengthMs }: ProgressPlan,
  elapsedMs: number,
): string {
  const errors = failedCount === 0 ? '' : ` · ${failedCount} not answered`;
  const time =
    elapsedMs <= lengthMs
      ? `${formatDuration(elapsedMs)} of ${formatDuration(lengthMs)}`
      : `${formatDuration(elapsedMs)}, the last answers`;
  return `${endedCount}/${requestCount} ended · ${inFlight} in flight${errors} · ${time}`;
}
