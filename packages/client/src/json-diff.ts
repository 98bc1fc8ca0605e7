/** An operation of a JSON Patch (RFC 6902), as far as differences need them. */
export type Operation =
  | { readonly op: 'add' | 'replace'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string };

/**
 * The patch that makes `to` of `from`, both JSON values. Arrays are compared from both ends, since conversations grow at their end and
 * are shortened at their beginning: what is between is replaced pairwise. The patch is short for that, not the shortest of all; it
 * takes time in proportion to the values.
 */
export function diffJson(from: unknown, to: unknown): Operation[] {
  const operations: Operation[] = [];
  diff(from, to, '', operations);
  return operations;
}

function diff(from: unknown, to: unknown, path: string, operations: Operation[]): void {
  if (Array.isArray(from) && Array.isArray(to)) diffArrays(from, to, path, operations);
  else if (isObject(from) && isObject(to)) diffObjects(from, to, path, operations);
  else if (from !== to) operations.push({ op: 'replace', path, value: to });
}

function diffObjects(
  from: Readonly<Record<string, unknown>>,
  to: Readonly<Record<string, unknown>>,
  path: string,
  operations: Operation[],
): void {
  for (const key of Object.keys(from)) if (has(from, key) && !has(to, key)) operations.push({ op: 'remove', path: join(path, key) });
  for (const key of Object.keys(to)) {
    if (!has(to, key)) continue;
    if (has(from, key)) diff(from[key], to[key], join(path, key), operations);
    else operations.push({ op: 'add', path: join(path, key), value: to[key] });
  }
}

function diffArrays(from: readonly unknown[], to: readonly unknown[], path: string, operations: Operation[]): void {
  let start = 0;
  while (start < from.length && start < to.length && isEqual(from[start], to[start])) start += 1;
  let kept = 0;
  while (kept < from.length - start && kept < to.length - start && isEqual(from[from.length - 1 - kept], to[to.length - 1 - kept]))
    kept += 1;
  const [fromEnd, toEnd] = [from.length - kept, to.length - kept];
  const common = Math.min(fromEnd, toEnd);
  for (let index = start; index < common; index += 1) diff(from[index], to[index], join(path, index), operations);
  // From the back, so that no removal moves what is still to be removed.
  for (let index = fromEnd - 1; index >= common; index -= 1) operations.push({ op: 'remove', path: join(path, index) });
  for (let index = common; index < toEnd; index += 1)
    operations.push({ op: 'add', path: join(path, kept === 0 ? '-' : index), value: to[index] });
}

export function isEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, index) => isEqual(item, b[index]));
  if (!isObject(a) || !isObject(b)) return false;
  const keys = Object.keys(a).filter((key) => has(a, key));
  return keys.length === Object.keys(b).filter((key) => has(b, key)).length && keys.every((key) => has(b, key) && isEqual(a[key], b[key]));
}

/** What JSON would have: a member that is undefined is none. */
function has(object: Readonly<Record<string, unknown>>, key: string): boolean {
  return Object.hasOwn(object, key) && object[key] !== undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function join(path: string, key: string | number): string {
  return `${path}/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`;
}
