import { availableParallelism } from 'node:os';

/**
 * All cores when not given. ggml's threads spin while they wait for each other: more of them than cores would stand in each other's way.
 */
export function usableThreads(wanted = Infinity): number {
  return Math.min(wanted, availableParallelism());
}
