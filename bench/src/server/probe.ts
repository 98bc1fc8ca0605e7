/**
 * Loaded into the server by `--import`: on the first SIGUSR2 it begins to watch the event loop, on the second it writes what
 * it saw to a file in AUTOGLM_PROBE_FOLDER, and so on. In between it costs nothing.
 */
import { renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { probeFile, resolutionMs, type LoopDelay } from './loop-delay.ts';

const histogram = monitorEventLoopDelay({ resolution: resolutionMs });
let watching = false;

process.on('SIGUSR2', () => {
  watching = !watching;
  if (watching) {
    histogram.reset();
    histogram.enable();
    return;
  }
  histogram.disable();
  // The histogram holds the times between two of its timer's ticks.
  const delay = (nanoseconds: number) => Math.max(0, nanoseconds / 1e6 - resolutionMs);
  const seen: LoopDelay = { p50Ms: delay(histogram.percentile(50)), p99Ms: delay(histogram.percentile(99)), maxMs: delay(histogram.max) };
  const file = path.join(process.env['AUTOGLM_PROBE_FOLDER'] as string, probeFile);
  writeFileSync(`${file}.part`, JSON.stringify(seen));
  renameSync(`${file}.part`, file);
});
