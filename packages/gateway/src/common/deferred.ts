/**
 * An iterable that is only known after some work, which starts with the first `next()`. Once it is known its own
 * iterator answers: a stage that changes nothing on the way up costs nothing for each part.
 */
export function deferred<T>(make: () => Promise<AsyncIterable<T>>): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]() {
      let inner: AsyncIterator<T> | undefined;
      let hasLeft = false;
      const start = async (): Promise<IteratorResult<T>> => {
        inner = (await make())[Symbol.asyncIterator]();
        if (!hasLeft) return inner.next();
        await inner.return?.();
        return { value: undefined, done: true };
      };
      return {
        next: () => inner?.next() ?? start(),
        return: async () => {
          hasLeft = true;
          return (await inner?.return?.()) ?? { value: undefined, done: true };
        },
      };
    },
  };
}
