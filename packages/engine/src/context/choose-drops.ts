import type { ContextBounds } from './bounds.ts';

/**
 * Which of `blockCount` kept blocks go, in ascending order. `window` drops the oldest behind the sinks (StreamingLLM, Xiao et
 * al. 2024), `attention` those between the sinks and the newest half of the window that weigh least, the older of equals:
 * the heavy hitters of H2O (Zhang et al. 2023), by block, as the newest tokens see them (SnapKV, Li et al. 2024).
 * `weights`: by block; asked for only where they decide.
 */
export function chooseDrops(bounds: ContextBounds, blockCount: number, weights: () => ArrayLike<number>): readonly number[] {
  const { kind, sinkBlocks, recentBlocks, dropBlocks } = bounds;
  if (kind === 'window') return Array.from({ length: dropBlocks }, (_, index) => sinkBlocks + index);
  const weightOf = weights();
  const candidates = Array.from({ length: blockCount - recentBlocks - sinkBlocks }, (_, index) => sinkBlocks + index);
  const byWeight = candidates.sort((a, b) => (weightOf[a] as number) - (weightOf[b] as number) || a - b);
  return byWeight.slice(0, dropBlocks).sort((a, b) => a - b);
}
