import { formatBytes } from '@open-autoglm/engine/bytes';
import { formatDuration } from '../replay/report/text.ts';

/** Bars that change more often cannot be read, and cost as much as the transfer. */
const betweenReportsMs = 100;

/** Says how far a transfer is, how fast it goes and how long it will take; undefined when it has just been said. */
export function describeTransfer(total: number, now: () => number): (bytes: number) => string | undefined {
  let start: { readonly at: number; readonly bytes: number } | undefined;
  let reportedAt = Number.NEGATIVE_INFINITY;
  return (bytes) => {
    const at = now();
    // What an earlier try brought says nothing about the speed of this one.
    start ??= { at, bytes };
    if (at - reportedAt < betweenReportsMs && bytes < total) return undefined;
    reportedAt = at;
    const done = `${Math.floor((bytes / total) * 100)} % of ${formatBytes(total)}`;
    const perMs = (bytes - start.bytes) / (at - start.at);
    if (!(perMs > 0) || !Number.isFinite(perMs)) return done;
    return `${done}, ${formatBytes(perMs * 1000)}/s, ${formatDuration((total - bytes) / perMs)} left`;
  };
}
