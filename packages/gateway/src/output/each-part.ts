import type { PartsIterator, StreamPart } from '@open-autoglm/protocol';

/**
 * Hands over every part of an answer. As `for await`, but of what is here together only the first part costs promises: a whole answer
 * of another server has four parts or more and an end, and each would pass every stage in turns of its own.
 */
export async function eachPart(parts: AsyncIterable<StreamPart>, take: (part: StreamPart) => void): Promise<void> {
  const iterator: PartsIterator = parts[Symbol.asyncIterator]();
  for (let result = await iterator.next(); !result.done; result = iterator.nextNow?.() ?? (await iterator.next())) {
    try {
      take(result.value);
    } catch (error) {
      await iterator.return?.();
      throw error;
    }
  }
}
