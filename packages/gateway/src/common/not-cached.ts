import { AutoglmError } from '@open-autoglm/protocol';

/** `only-if-cached`, and nothing may be computed. */
export function notCached(reason: string): AutoglmError {
  return new AutoglmError('not_cached', `The request asks for a cached answer only, and ${reason}.`);
}
