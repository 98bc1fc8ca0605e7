import { open, type FileHandle } from 'node:fs/promises';
import { AutoglmError } from '@open-autoglm/protocol';
import { ggmlTypeCount, GgufType } from '../ggml/types.ts';
import { shown } from './shown.ts';

/** A value as it stands in the file: its type and its bytes, those of an array with its element type and count. */
export interface EncodedValue {
  readonly type: number;
  readonly bytes: Buffer;
}

export interface HeaderTensor {
  readonly name: string;
  readonly type: number;
  /** ggml's order: columns first; as many numbers as the file has. */
  readonly shape: readonly number[];
  /** From the start of the file, in bytes. */
  readonly offset: number;
}

/** The header of a GGUF file, read without ggml: by programs that only look, and to copy it. */
export interface GgufHeader {
  readonly path: string;
  readonly values: ReadonlyMap<string, EncodedValue>;
  readonly tensors: readonly HeaderTensor[];
  /** Of the whole file. */
  readonly size: number;
  number(key: string): number | undefined;
  string(key: string): string | undefined;
  /** Elements of an array. */
  count(key: string): number | undefined;
}

/** A vocabulary of a million tokens fits; what is longer is no header. */
const headerBytesMax = 256 << 20;
const firstRead = 1 << 20;
const countMax = 1 << 20;
const defaultAlignment = 32;
const alignmentMin = 8;
const alignmentMax = 65_536;

/** Throws `engine_failed` when the file has no whole header. */
export async function readGgufHeader(path: string): Promise<GgufHeader> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    for (let length = firstRead; ; length *= 4) {
      const bytes = await readStart(file, Math.min(length, size, headerBytesMax));
      try {
        return parse(path, bytes, size);
      } catch (error) {
        const isAll = bytes.length === size || bytes.length === headerBytesMax;
        if (!(error instanceof RangeError)) throw error;
        if (isAll) throw damaged(path, 'it ends inside its header');
      }
    }
  } finally {
    await file.close();
  }
}

async function readStart(file: FileHandle, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await file.read(bytes, filled, length - filled, filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}

/** Throws a RangeError where the bytes end too early. */
function parse(path: string, bytes: Buffer, size: number): GgufHeader {
  const reader = new Reader(path, bytes);
  if (bytes.toString('latin1', 0, 4) !== 'GGUF') throw damaged(path, 'it is not a GGUF file');
  reader.skip(8);
  const tensorCount = reader.count();
  const valueCount = reader.count();
  const values = new Map<string, EncodedValue>();
  for (let index = 0; index < valueCount; index += 1) values.set(reader.string(), reader.value());
  const places = Array.from({ length: tensorCount }, () => reader.tensor());
  const number = (key: string) => decodeNumber(values.get(key));
  const alignment = number('general.alignment') ?? defaultAlignment;
  const isAlignment = Number.isInteger(Math.log2(alignment)) && alignment >= alignmentMin && alignment <= alignmentMax;
  if (!isAlignment) throw damaged(path, `its alignment is ${alignment}`);
  const dataOffset = Math.ceil(reader.offset / alignment) * alignment;
  const strange = places.find(({ type, shape }) => type >= ggmlTypeCount || shape.includes(0));
  if (strange)
    throw damaged(path, `the tensor ${shown(strange.name)} is ${strange.shape.join(' × ')} of the type ${strange.type}, which none can be`);
  const beyond = places.find(({ offset }) => dataOffset + offset > size);
  if (beyond) throw damaged(path, `the tensor ${shown(beyond.name)} lies beyond its end`);
  return {
    path,
    values,
    size,
    number,
    tensors: places.map((tensor) => ({ ...tensor, offset: dataOffset + tensor.offset })),
    string: (key) => decodeString(values.get(key)),
    count: (key) => {
      const value = values.get(key);
      return value?.type === GgufType.ARRAY ? Number(value.bytes.readBigUInt64LE(4)) : undefined;
    },
  };
}

const scalarSizes: Readonly<Record<number, number>> = {
  [GgufType.UINT8]: 1,
  [GgufType.INT8]: 1,
  [GgufType.UINT16]: 2,
  [GgufType.INT16]: 2,
  [GgufType.UINT32]: 4,
  [GgufType.INT32]: 4,
  [GgufType.FLOAT32]: 4,
  [GgufType.BOOL]: 1,
  [GgufType.UINT64]: 8,
  [GgufType.INT64]: 8,
  [GgufType.FLOAT64]: 8,
};

class Reader {
  readonly #path: string;
  readonly #bytes: Buffer;
  offset = 0;

  constructor(path: string, bytes: Buffer) {
    this.#path = path;
    this.#bytes = bytes;
  }

  skip(length: number): void {
    if (this.offset + length > this.#bytes.length) throw new RangeError('the header is longer');
    this.offset += length;
  }

  u32(): number {
    this.skip(4);
    return this.#bytes.readUInt32LE(this.offset - 4);
  }

  u64(): number {
    this.skip(8);
    const value = this.#bytes.readBigUInt64LE(this.offset - 8);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw damaged(this.#path, 'a number in its header is too large');
    return Number(value);
  }

  count(): number {
    const value = this.u64();
    if (value > countMax) throw damaged(this.#path, `its header counts ${value} entries`);
    return value;
  }

  string(): string {
    const length = this.u64();
    this.skip(length);
    return this.#bytes.toString('utf8', this.offset - length, this.offset);
  }

  value(): EncodedValue {
    const type = this.u32();
    const start = this.offset;
    this.#skipValue(type);
    return { type, bytes: this.#bytes.subarray(start, this.offset) };
  }

  tensor(): HeaderTensor {
    const name = this.string();
    const dimensions = this.u32();
    if (dimensions > 4) throw damaged(this.#path, `the tensor ${shown(name)} has ${dimensions} dimensions`);
    const shape = Array.from({ length: dimensions }, () => this.u64());
    return { name, shape, type: this.u32(), offset: this.u64() };
  }

  #skipValue(type: number): void {
    const size = scalarSizes[type];
    if (size !== undefined) this.skip(size);
    else if (type === GgufType.STRING) this.skip(this.u64());
    else if (type === GgufType.ARRAY) this.#skipArray(this.u32(), this.u64());
    else throw damaged(this.#path, `its header has a value of the unknown type ${type}`);
  }

  #skipArray(type: number, count: number): void {
    const size = scalarSizes[type];
    if (size !== undefined) this.skip(size * count);
    else if (type === GgufType.STRING) for (let index = 0; index < count; index += 1) this.skip(this.u64());
    else throw damaged(this.#path, `its header has an array of the type ${type}`);
  }
}

function decodeNumber(value: EncodedValue | undefined): number | undefined {
  switch (value?.type) {
    case GgufType.UINT8:
      return value.bytes.readUInt8();
    case GgufType.INT8:
      return value.bytes.readInt8();
    case GgufType.UINT16:
      return value.bytes.readUInt16LE();
    case GgufType.INT16:
      return value.bytes.readInt16LE();
    case GgufType.UINT32:
      return value.bytes.readUInt32LE();
    case GgufType.INT32:
      return value.bytes.readInt32LE();
    case GgufType.FLOAT32:
      return value.bytes.readFloatLE();
    case GgufType.FLOAT64:
      return value.bytes.readDoubleLE();
    case GgufType.UINT64:
      return Number(value.bytes.readBigUInt64LE());
    case GgufType.INT64:
      return Number(value.bytes.readBigInt64LE());
    default:
      return undefined;
  }
}

function decodeString(value: EncodedValue | undefined): string | undefined {
  return value?.type === GgufType.STRING ? value.bytes.toString('utf8', 8) : undefined;
}

function damaged(path: string, reason: string): AutoglmError {
  return new AutoglmError('engine_failed', `${path} is not a readable GGUF file: ${reason}. Download it again.`);
}
