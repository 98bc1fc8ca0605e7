/**
 * Does this for every item, at most so many at a time, and gives the results in order. The first failure ends it: what runs is told by
 * the signal that it was given, which also follows the outer one.
 */
export async function inParallel<T, R>(
  items: readonly T[],
  concurrency: number,
  outer: AbortSignal,
  work: (item: T, signal: AbortSignal) => Promise<R>,
): Promise<R[]> {
  const failed = new AbortController();
  const signal = AbortSignal.any([outer, failed.signal]);
  const results: R[] = [];
  let next = 0;
  const run = async () => {
    for (let index = next; index < items.length; index = next) {
      next += 1;
      signal.throwIfAborted();
      results[index] = await work(items[index] as T, signal);
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(concurrency, items.length) }, run));
  } catch (error) {
    failed.abort(error);
    throw error;
  }
  return results;
}
