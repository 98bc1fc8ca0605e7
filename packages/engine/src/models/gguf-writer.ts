import type { FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import type { Ggml } from '../ggml/bindings.ts';
import { GgufType } from '../ggml/types.ts';
import type { EncodedValue } from './gguf-header.ts';

export type GgufValue =
  | { readonly type: 'u32' | 'f32'; readonly value: number }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'strings'; readonly value: readonly string[] }
  | { readonly type: 'i32s' | 'f32s'; readonly value: readonly number[] }
  | { readonly type: 'encoded'; readonly value: EncodedValue };

export type GgufMetadata = ReadonlyMap<string, GgufValue>;

export interface GgufTensorSource {
  readonly name: string;
  /** `enum ggml_type`. */
  readonly type: number;
  /** ggml's order: columns first. */
  readonly shape: readonly number[];
  /** The values, rows one after the other; or, piece by piece, the bytes that stand for them. Called once, just before they are written. */
  read(): Float32Array | AsyncIterable<Uint8Array>;
}

export interface GgufContent {
  readonly metadata: GgufMetadata;
  readonly tensors: readonly GgufTensorSource[];
}

export interface GgufWriteOptions {
  /** Called as tensors are written, with the share of all their bytes, up to 1. */
  readonly onProgress?: ((fraction: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface WrittenFile {
  readonly size: number;
  /** Of the whole file. */
  readonly crc32: number;
}

const magic = 0x4655_4747; // "GGUF" in little-endian order
const version = 3;
const alignment = 32;

/**
 * Writes a GGUF file, one tensor at a time: at most one tensor is in memory, or one piece of it where the source gives
 * pieces, and the event loop turns between them, so that progress and abort work. ggml's own writer would want the whole
 * model in memory and does not say why a write failed.
 *
 * Rejects with the error of the file system, or with the signal's reason. The caller owns the file.
 */
export async function writeGguf(ggml: Ggml, file: FileHandle, content: GgufContent, options: GgufWriteOptions = {}): Promise<WrittenFile> {
  let size = 0;
  let checksum = 0;
  const append = async (bytes: Uint8Array): Promise<void> => {
    await file.writeFile(bytes);
    checksum = crc32(bytes, checksum);
    size += bytes.length;
  };
  const pad = () => append(new Uint8Array((alignment - (size % alignment)) % alignment));

  await append(encodeHeader(ggml, content));
  await pad();
  const total = content.tensors.reduce((sum, tensor) => sum + tensorSize(ggml, tensor), 0);
  let done = 0;
  for (const tensor of content.tensors) {
    options.signal?.throwIfAborted();
    const start = size;
    for await (const piece of encodeTensor(ggml, tensor)) {
      options.signal?.throwIfAborted();
      await append(piece);
      options.onProgress?.((done + size - start) / total);
    }
    const expected = tensorSize(ggml, tensor);
    if (size - start !== expected)
      throw new Error(`${tensor.name}: ${size - start} bytes for shape ${tensor.shape.join('×')}, not ${expected}.`);
    done += expected;
    await pad();
  }
  return { size, crc32: checksum };
}

function encodeTensor(ggml: Ggml, tensor: GgufTensorSource): AsyncIterable<Uint8Array> | readonly [Uint8Array] {
  const values = tensor.read();
  if (!(values instanceof Float32Array)) return values;
  if (values.length !== valueCount(tensor)) throw new Error(`${tensor.name}: ${values.length} values for shape ${tensor.shape.join('×')}.`);
  const columns = tensor.shape[0] ?? 1;
  const bytes = new Uint8Array(tensorSize(ggml, tensor));
  ggml.quantizeChunk(tensor.type, values, bytes, 0, values.length / columns, columns, null);
  return [bytes];
}

function encodeHeader(ggml: Ggml, { metadata, tensors }: GgufContent): Uint8Array {
  const parts = [u32(magic), u32(version), u64(tensors.length), u64(metadata.size)];
  for (const [key, value] of metadata) parts.push(string(key), encodeValue(value));
  let offset = 0;
  for (const tensor of tensors) {
    parts.push(string(tensor.name), u32(tensor.shape.length), ...tensor.shape.map(u64), u32(tensor.type), u64(offset));
    offset += Math.ceil(tensorSize(ggml, tensor) / alignment) * alignment;
  }
  return Buffer.concat(parts);
}

function encodeValue(item: GgufValue): Buffer {
  switch (item.type) {
    case 'u32':
      return Buffer.concat([u32(GgufType.UINT32), u32(item.value)]);
    case 'f32':
      return Buffer.concat([u32(GgufType.FLOAT32), f32(item.value)]);
    case 'bool':
      return Buffer.concat([u32(GgufType.BOOL), Buffer.of(item.value ? 1 : 0)]);
    case 'string':
      return Buffer.concat([u32(GgufType.STRING), string(item.value)]);
    case 'strings':
      return encodeArray(GgufType.STRING, item.value.map(string));
    case 'i32s':
      return encodeArray(GgufType.INT32, item.value.map(i32));
    case 'f32s':
      return encodeArray(GgufType.FLOAT32, item.value.map(f32));
    case 'encoded':
      return Buffer.concat([u32(item.value.type), item.value.bytes]);
  }
}

function encodeArray(elementType: number, elements: Buffer[]): Buffer {
  return Buffer.concat([u32(GgufType.ARRAY), u32(elementType), u64(elements.length), ...elements]);
}

function string(value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8');
  return Buffer.concat([u64(bytes.length), bytes]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function i32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

function f32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function valueCount(tensor: GgufTensorSource): number {
  return tensor.shape.reduce((product, size) => product * size, 1);
}

function tensorSize(ggml: Ggml, tensor: GgufTensorSource): number {
  const columns = tensor.shape[0] ?? 1;
  return ggml.rowSize(tensor.type, columns) * (valueCount(tensor) / columns);
}
