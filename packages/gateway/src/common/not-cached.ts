import { AutoglmError, type Stage } from '@open-autoglm/protocol';

/** `only-if-cached`, and nothing may be computed. */
export function notCached(reason: string): AutoglmError {
  return new AutoglmError('not_cached', `The request asks for a cached answer only, and ${reason}.`);
}

/** In the place of a cache that is not there. */
export const keepsNothing: Stage = (request, next) => {
  if (!request.cache?.onlyIfCached) return next(request);
  return {
    [Symbol.asyncIterator]() {
      throw notCached('no answers are kept here');
    },
  };
};
