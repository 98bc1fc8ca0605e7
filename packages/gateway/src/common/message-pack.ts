import { FLOAT32_OPTIONS, Packr, Unpackr } from 'msgpackr';
import { nestingMax } from './nesting.ts';

/**
 * How MessagePack is written. `plain`: maps with their keys, which every reader knows. `records`: msgpackr's extension 0x72, announced in the bytes
 * themselves: the keys of each shape are written once, and objects of that shape are their values. Any reader of msgpackr's understands it unprepared.
 */
export type MessagePackForm = 'plain' | 'records';

export const messagePackTypes: ReadonlySet<string> = new Set(['application/msgpack', 'application/x-msgpack', 'application/vnd.msgpack']);

export function messagePackContentType(form: MessagePackForm): string {
  return form === 'records' ? 'application/msgpack; records=1' : 'application/msgpack';
}

const options = { plain: { useRecords: false, variableMapSize: true }, records: { useRecords: true } } as const;
const whole = { plain: new Packr(options.plain), records: new Packr(options.records) } as const;
const wholeFloat32 = { plain: new Packr({ ...options.plain, useFloat32: FLOAT32_OPTIONS.ALWAYS }), records: new Packr({ ...options.records, useFloat32: FLOAT32_OPTIONS.ALWAYS }) } as const;

/** One value, as JSON would have it: `toJSON` is honoured, and what is undefined is left out. */
export function encodeMessagePack(value: unknown, form: MessagePackForm): Buffer {
  return whole[form].pack(jsonValue(value));
}

/** As `encodeMessagePack`, with 32 bits for each number that is no integer: for vectors that have no more. */
export function encodeMessagePackFloat32(value: unknown, form: MessagePackForm): Buffer {
  return wholeFloat32[form].pack(jsonValue(value));
}

/** Encodes the values of one stream, one after the other. Each must be as JSON would have it; records are announced before their first use in the stream. */
export function createMessagePackStream(form: MessagePackForm): (value: object) => Buffer {
  // Without records an encoder has no state, and is shared.
  const packr = form === 'plain' ? whole.plain : new Packr({ ...options.records, sequential: true } as ConstructorParameters<typeof Packr>[0]);
  return (value) => packr.pack(value);
}

const unpackr = new Unpackr({ mapsAsObjects: true, int64AsType: 'auto' as 'number' });

/**
 * The one value that these bytes hold, in either form. Throws `SyntaxError` for anything that is not exactly one value, or that JSON has no word for:
 * bytes, dates and other extensions, integers beyond 2^53, NaN.
 */
export function decodeMessagePack(bytes: Uint8Array): unknown {
  let value: unknown;
  try {
    value = unpackr.unpack(bytes);
  } catch {
    throw new SyntaxError('it is cut short, goes on after its end, is nested too deeply or has something in it that MessagePack does not define');
  }
  refuseOtherThanJson(value);
  return value;
}

/** Without recursion, which a body could nest too deeply for; and without a name for what is in order, which is nearly always everything. */
function refuseOtherThanJson(value: unknown): void {
  const pending: { readonly value: object; readonly name: string; readonly depth: number }[] = [];
  const check = (child: unknown, depth: number, nameOf: () => string): void => {
    if (child === null || typeof child === 'string' || typeof child === 'boolean' || Number.isFinite(child)) return;
    const isContainer = Array.isArray(child) || (typeof child === 'object' && Object.getPrototypeOf(child) === Object.prototype);
    if (!isContainer) throw new SyntaxError(`${nameOf() === '' ? 'its value' : `'${nameOf()}'`} is ${describe(child)}, which JSON has no word for`);
    if (depth > nestingMax) throw new SyntaxError(`it is nested more than ${nestingMax} deep`);
    pending.push({ value: child as object, name: nameOf(), depth });
  };
  check(value, 1, () => '');
  for (let item = pending.pop(); item; item = pending.pop()) {
    const { value: parent, name, depth } = item;
    if (Array.isArray(parent)) for (let index = 0; index < parent.length; index += 1) check(parent[index], depth + 1, () => `${name}[${index}]`);
    else for (const key in parent) check((parent as Record<string, unknown>)[key], depth + 1, () => (name === '' ? key : `${name}.${key}`));
  }
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
