/**
 * An iterable that is only known after some work, which starts with the first `next()`. Once it is known its own
 * iterator answers: a stage that changes nothing on the way up costs nothing for each part.
 */
export function deferred<T>(make: () => Promise<AsyncIterable<T>>): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]() {
      let inner: AsyncIterator<T> | undefined;
      const start = async () => {
        inner = (await make())[Symbol.asyncIterator]();
        return inner.next();
      };
      return {
        next: () => inner?.next() ?? start(),
        return: async () => (await inner?.return?.()) ?? { value: undefined, done: true },
      };
    },
  };
}
