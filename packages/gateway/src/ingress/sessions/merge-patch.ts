import { AutoglmError, isObject } from '@open-autoglm/protocol';

/**
 * What a JSON Merge Patch (RFC 7396) makes of a document: members of objects are merged, null removes one, everything else takes the
 * place of what was there. Neither of the two is changed. Throws `invalid_value` for a member that would lead out of the document.
 */
export function applyMergePatch(target: unknown, patch: unknown, path = ''): unknown {
  if (!isObject(patch)) return patch;
  const merged: Record<string, unknown> = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    const place = path === '' ? key : `${path}.${key}`;
    if (key === '__proto__')
      throw new AutoglmError('invalid_value', `Invalid value for '${place}': __proto__ is not a place in a document.`, { param: place });
    if (value === null) delete merged[key];
    else merged[key] = applyMergePatch(Object.hasOwn(merged, key) ? merged[key] : undefined, value, place);
  }
  return merged;
}
