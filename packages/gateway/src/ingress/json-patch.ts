import { AutoglmError } from '@open-autoglm/protocol';

type Container = Record<string, unknown> | unknown[];

/** What a patch may cost. */
export interface PatchLimits {
  readonly operationsMax: number;
  /** Characters of JSON that its `copy` operations may make: a few of them that copy each other's result would fill any memory. */
  readonly copiedMax: number;
}

interface Operation {
  readonly op: 'add' | 'remove' | 'replace' | 'move' | 'copy' | 'test';
  readonly path: readonly string[];
  readonly from?: readonly string[];
  readonly value?: unknown;
}

const operationNames: ReadonlySet<unknown> = new Set(['add', 'remove', 'replace', 'move', 'copy', 'test']);
/** The name that leads out of a document into what all objects share, where it is written. */
const forbiddenToken = '__proto__';
/** Elements that a patch may shift in arrays: ten thousand operations at the front of a million would take seconds. */
const shiftedMax = 100_000_000;

/** What a patch has cost so far. */
interface Spent {
  copiedCharacters: number;
  shiftedElements: number;
}

/**
 * Applies a JSON Patch (RFC 6902) and returns the new document. The given one is changed on the way, also where the patch fails: give a
 * copy. Throws `invalid_value` for what is no patch, and `patch_not_applicable` for one that this document does not have the places
 * for, or whose `test` fails; both name the operation.
 */
export function applyJsonPatch(document: unknown, patch: unknown, { operationsMax, copiedMax }: PatchLimits): unknown {
  if (!Array.isArray(patch)) throw new AutoglmError('invalid_value', 'A JSON Patch must be an array of operations.');
  if (patch.length > operationsMax)
    throw new AutoglmError('payload_too_large', `The patch has ${patch.length} operations, and ${operationsMax} is the most.`);
  const operations = patch.map(readOperation);
  // The document as a member of another, so that its root can be replaced like everything else.
  const holder: Record<string, unknown> = { root: document };
  const spent: Spent = { copiedCharacters: 0, shiftedElements: 0 };
  for (const [index, operation] of operations.entries()) {
    const reason = apply(holder, operation, spent, copiedMax);
    if (reason)
      throw new AutoglmError(
        'patch_not_applicable',
        `Operation ${index} (${operation.op} ${JSON.stringify(
          `${operation.path
            .slice(1)
            .map((token) => `/${token}`)
            .join('')}`,
        )}) cannot be applied: ${reason}.`,
        { param: `[${index}]` },
      );
  }
  return holder['root'];
}

function readOperation(value: unknown, index: number): Operation {
  const fail = (field: string, reason: string): never => {
    throw new AutoglmError('invalid_value', `Invalid value for '[${index}]${field}': ${reason}.`, { param: `[${index}]${field}` });
  };
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return fail('', 'must be an operation, such as {"op": "add", "path": "/messages/-", "value": …}');
  const { op, path, from } = value as { op?: unknown; path?: unknown; from?: unknown };
  if (!operationNames.has(op)) return fail('.op', 'must be "add", "remove", "replace", "move", "copy" or "test"');
  const pointer = (field: string, text: unknown) => {
    if (typeof text !== 'string') return fail(field, 'must be a JSON Pointer, such as "/messages/0"');
    const tokens = parsePointer(text);
    return typeof tokens === 'string' ? fail(field, tokens) : tokens;
  };
  const name = op as Operation['op'];
  const read = { op: name, path: pointer('.path', path) };
  if (name === 'move' || name === 'copy') return { ...read, from: pointer('.from', from) };
  if (name === 'remove') return read;
  if (!Object.hasOwn(value, 'value')) return fail('.value', 'is missing');
  return { ...read, value: (value as { value: unknown }).value };
}

/** The pointer's tokens after the holder's own, or what is wrong with it. */
function parsePointer(text: string): readonly string[] | string {
  if (text !== '' && !text.startsWith('/')) return 'a JSON Pointer begins with a slash';
  if (/~(?![01])/.test(text)) return 'a tilde stands for itself as ~0 only';
  const tokens = text.split('/').map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
  if (tokens.includes(forbiddenToken)) return `${forbiddenToken} is not a place in a document`;
  tokens[0] = 'root';
  return tokens;
}

/** Undefined when it was applied, or why it cannot be. */
function apply(holder: Container, operation: Operation, spent: Spent, copiedMax: number): string | undefined {
  const { op, path, from = [], value } = operation;
  switch (op) {
    case 'add':
      return add(holder, path, value, spent);
    case 'remove':
      return remove(holder, path, spent);
    case 'replace': {
      const found = find(holder, path);
      if (!found) return 'there is no such place';
      put(found.parent, found.key, value);
      return undefined;
    }
    case 'move': {
      if (path.length > from.length && from.every((token, index) => token === path[index])) return 'a value cannot be moved into itself';
      const found = find(holder, from);
      if (!found) return "there is nothing at 'from'";
      const moved = found.parent[found.key as never];
      return remove(holder, from, spent) ?? add(holder, path, moved, spent);
    }
    case 'copy': {
      const found = find(holder, from);
      if (!found) return "there is nothing at 'from'";
      const text = JSON.stringify(found.parent[found.key as never]);
      spent.copiedCharacters += text.length;
      if (spent.copiedCharacters > copiedMax) return `the patch copies more than ${copiedMax} characters`;
      return add(holder, path, JSON.parse(text), spent);
    }
    case 'test': {
      const found = find(holder, path);
      if (!found) return 'there is no such place';
      return isEqual(found.parent[found.key as never], value) ? undefined : 'the value there is another one';
    }
  }
}

function add(holder: Container, path: readonly string[], value: unknown, spent: Spent): string | undefined {
  const parent = parentOf(holder, path);
  const key = path.at(-1) as string;
  if (!Array.isArray(parent)) {
    if (!parent) return 'there is nothing to add to';
    parent[key] = value;
    return undefined;
  }
  const index = key === '-' ? parent.length : arrayIndex(key);
  if (index === undefined) return `${JSON.stringify(key)} is no index of an array`;
  if (index > parent.length) return `the array has ${parent.length} elements`;
  return shift(parent, index, spent) ?? void parent.splice(index, 0, value);
}

function remove(holder: Container, path: readonly string[], spent: Spent): string | undefined {
  if (path.length === 1) return 'the whole document cannot be removed';
  const found = find(holder, path);
  if (!found) return 'there is no such place';
  if (Array.isArray(found.parent))
    return shift(found.parent, found.key as number, spent) ?? void found.parent.splice(found.key as number, 1);
  delete found.parent[found.key];
  return undefined;
}

/** Counts what follows on a place in an array, which moves when something comes or goes there. */
function shift(array: readonly unknown[], index: number, spent: Spent): string | undefined {
  spent.shiftedElements += array.length - index;
  return spent.shiftedElements > shiftedMax ? `the patch shifts more than ${shiftedMax} elements of arrays` : undefined;
}

function put(parent: Container, key: string | number, value: unknown): void {
  (parent as Record<string | number, unknown>)[key] = value;
}

/** A place that exists. */
function find(holder: Container, path: readonly string[]): { readonly parent: Container; readonly key: string | number } | undefined {
  const parent = parentOf(holder, path);
  const key = path.at(-1) as string;
  if (!parent) return undefined;
  if (!Array.isArray(parent)) return Object.hasOwn(parent, key) ? { parent, key } : undefined;
  const index = arrayIndex(key);
  return index !== undefined && index < parent.length ? { parent, key: index } : undefined;
}

function parentOf(holder: Container, path: readonly string[]): Container | undefined {
  let current: unknown = holder;
  for (let depth = 0; depth < path.length - 1; depth += 1) current = child(current, path[depth] as string);
  return typeof current === 'object' && current !== null ? (current as Container) : undefined;
}

/** Only what is the value's own: an array's `length` is no place in a document. */
function child(value: unknown, key: string): unknown {
  if (Array.isArray(value)) return value[arrayIndex(key) ?? -1];
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined;
}

/** RFC 6901: digits, and none before a zero. */
function arrayIndex(key: string): number | undefined {
  return /^(0|[1-9]\d{0,8})$/.test(key) ? Number(key) : undefined;
}

function isEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null || Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && isEqual(a[key as never], b[key as never]));
}
