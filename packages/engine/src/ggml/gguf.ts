import koffi from 'koffi';
import { AutoglmError } from '@open-autoglm/protocol';
import type { Ggml, Pointer } from './bindings.ts';
import { takeGgmlErrors } from './library.ts';
import { GgufType } from './types.ts';

export interface GgufTensor {
  readonly name: string;
  readonly type: number;
  /** ggml's order: columns first. Always four numbers. */
  readonly shape: readonly [number, number, number, number];
  /** From the start of the file, in bytes. */
  readonly offset: number;
  readonly size: number;
}

/** The header of an open GGUF file. */
export interface Gguf {
  readonly path: string;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  number(key: string): number | undefined;
  string(key: string): string | undefined;
  boolean(key: string): boolean | undefined;
  close(): void;
}

/** Reads a file's header with ggml's own reader. Throws `engine_failed` when it is not a GGUF that ggml can read. */
export function openGguf(ggml: Ggml, path: string): Gguf {
  const handle = ggml.ggufInitFromFile(path, { no_alloc: true, ctx: null });
  if (!handle) {
    throw new AutoglmError(
      'engine_failed',
      `${path} is not a readable GGUF file (${takeGgmlErrors()}). Download it again, or give another with --model FILE.gguf.`,
    );
  }
  const value = <T>(key: string, read: (id: number) => T): T | undefined => {
    const id = ggml.ggufFindKey(handle, key);
    return id < 0 ? undefined : read(id);
  };
  return {
    path,
    tensors: readTensors(ggml, handle),
    number: (key) => value(key, (id) => readNumber(ggml, handle, id)),
    string: (key) => value(key, (id) => (ggml.ggufKeyType(handle, id) === GgufType.STRING ? ggml.ggufValueString(handle, id) : undefined)),
    boolean: (key) => value(key, (id) => (ggml.ggufKeyType(handle, id) === GgufType.BOOL ? ggml.ggufValueBool(handle, id) : undefined)),
    close: () => ggml.ggufFree(handle),
  };
}

const numberTypes: Readonly<Record<number, string>> = {
  [GgufType.UINT8]: 'uint8',
  [GgufType.INT8]: 'int8',
  [GgufType.UINT16]: 'uint16',
  [GgufType.INT16]: 'int16',
  [GgufType.UINT32]: 'uint32',
  [GgufType.INT32]: 'int32',
  [GgufType.FLOAT32]: 'float',
  [GgufType.UINT64]: 'uint64',
  [GgufType.INT64]: 'int64',
  [GgufType.FLOAT64]: 'double',
};

function readNumber(ggml: Ggml, handle: Pointer, id: number): number | undefined {
  const type = numberTypes[ggml.ggufKeyType(handle, id)];
  return type ? Number(koffi.decode(ggml.ggufValueData(handle, id), type)) : undefined;
}

function readTensors(ggml: Ggml, handle: Pointer): Map<string, GgufTensor> {
  const dataOffset = ggml.ggufDataOffset(handle);
  const tensors = new Map<string, GgufTensor>();
  for (let index = 0; index < ggml.ggufTensorCount(handle); index += 1) {
    const name = ggml.ggufTensorName(handle, index);
    const [ne0 = 1n, ne1 = 1n, ne2 = 1n, ne3 = 1n] = new BigInt64Array(koffi.view(ggml.ggufTensorShape(handle, index), 32).slice(0));
    tensors.set(name, {
      name,
      type: ggml.ggufTensorType(handle, index),
      shape: [Number(ne0), Number(ne1), Number(ne2), Number(ne3)],
      offset: dataOffset + ggml.ggufTensorOffset(handle, index),
      size: ggml.ggufTensorSize(handle, index),
    });
  }
  return tensors;
}
