import type { PartsIterator, StreamPart } from '@open-autoglm/protocol';

/**
 * Hands over every part of an answer. As `for await`, but of parts that are here together only the first costs promises: a whole answer of another
 * server has four parts or more, and each would pass every stage in a turn of its own.
 */
export async function eachPart(parts: AsyncIterable<StreamPart>, take: (part: StreamPart) => void): Promise<void> {
  const iterator: PartsIterator = parts[Symbol.asyncIterator]();
  for (let result = await iterator.next(); !result.done; result = await iterator.next()) {
    try {
      take(result.value);
      for (let part = iterator.nextNow?.(); part; part = iterator.nextNow?.()) take(part);
    } catch (error) {
      await iterator.return?.();
      throw error;
    }
  }
}
