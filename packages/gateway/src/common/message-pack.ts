import { FLOAT32_OPTIONS, Packr, Unpackr } from 'msgpackr';
import { findPath, nameOfPath, valueAt } from './json-path.ts';
import { nestingMax } from './nesting.ts';

/**
 * How MessagePack is written. `plain`: maps with their keys, which every reader knows. `records`: msgpackr's extension 0x72, announced
 * in the bytes themselves: the keys of each shape are written once, and objects of that shape are their values. Any reader of
 * msgpackr's understands it unprepared.
 */
export type MessagePackForm = 'plain' | 'records';

export const messagePackTypes: ReadonlySet<string> = new Set(['application/msgpack', 'application/x-msgpack', 'application/vnd.msgpack']);

export function messagePackContentType(form: MessagePackForm): string {
  return form === 'records' ? 'application/msgpack; records=1' : 'application/msgpack';
}

const options = { plain: { useRecords: false, variableMapSize: true }, records: { useRecords: true } } as const;
const whole = { plain: new Packr(options.plain), records: new Packr(options.records) } as const;
const wholeFloat32 = {
  plain: new Packr({ ...options.plain, useFloat32: FLOAT32_OPTIONS.ALWAYS }),
  records: new Packr({ ...options.records, useFloat32: FLOAT32_OPTIONS.ALWAYS }),
} as const;

/** One value, as JSON would have it: `toJSON` is honoured, and what is undefined is left out. */
export function encodeMessagePack(value: unknown, form: MessagePackForm): Buffer {
  return whole[form].pack(jsonValue(value));
}

/** As `encodeMessagePack`, with 32 bits for each number that is no integer: for vectors that have no more. */
export function encodeMessagePackFloat32(value: unknown, form: MessagePackForm): Buffer {
  return wholeFloat32[form].pack(jsonValue(value));
}

/**
 * Encodes the values of one stream, one after the other. Each must be as JSON would have it; records are announced before their first use
 * in the stream.
 */
export function createMessagePackStream(form: MessagePackForm): (value: object) => Buffer {
  // Without records an encoder has no state, and is shared.
  const packr =
    form === 'plain' ? whole.plain : new Packr({ ...options.records, sequential: true } as ConstructorParameters<typeof Packr>[0]);
  return (value) => packr.pack(value);
}

/** Without references from one place to another: a few hundred bytes of them are a value that takes forever to go through. */
const unpackr = new Unpackr({ mapsAsObjects: true, int64AsType: 'auto' as 'number', structuredClone: false });

/**
 * The one value that these bytes hold, in either form. Throws `SyntaxError` for anything that is not exactly one value, or that JSON
 * has no word for: bytes, dates and other extensions, integers beyond 2^53, NaN.
 */
export function decodeMessagePack(bytes: Uint8Array): unknown {
  let value: unknown;
  try {
    value = unpackr.unpack(bytes);
  } catch {
    throw new SyntaxError(
      'it is cut short, goes on after its end, is nested too deeply or has something in it that MessagePack does not define',
    );
  }
  refuseOtherThanJson(value);
  return value;
}

function refuseOtherThanJson(root: unknown): void {
  const wrong = findPath(root, (value, depth) => !isJson(value) || isTooDeep(value, depth));
  if (!wrong) return;
  const value = valueAt(root, wrong);
  if (isTooDeep(value, wrong.length)) throw new SyntaxError(`it is nested more than ${nestingMax} deep`);
  const name = nameOfPath(wrong);
  throw new SyntaxError(`${name === '' ? 'its value' : `'${name}'`} is ${describe(value)}, which JSON has no word for`);
}

function isTooDeep(value: unknown, depth: number): boolean {
  return depth >= nestingMax && typeof value === 'object' && value !== null;
}

/** Whatever it holds. */
function isJson(value: unknown): boolean {
  if (value === null || typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value)) return true;
  return Array.isArray(value) || (typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype);
}

function describe(value: unknown): string {
  if (value instanceof Uint8Array) return 'bytes';
  if (typeof value === 'bigint') return 'an integer beyond 2^53';
  if (typeof value === 'number') return 'not a finite number';
  return value === undefined ? 'undefined' : 'an extension';
}

/** What `JSON.parse(JSON.stringify(value))` gives, without the text in between. */
export function jsonValue(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const { toJSON } = value as { toJSON?: unknown };
  if (typeof toJSON === 'function') return jsonValue(toJSON.call(value));
  if (Array.isArray(value)) return value.map((item) => (item === undefined ? null : jsonValue(item)));
  const result: Record<string, unknown> = {};
  for (const [key, child] of Object.entries(value)) if (child !== undefined) result[key] = jsonValue(child);
  return result;
}
