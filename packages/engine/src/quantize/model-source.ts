import { open } from 'node:fs/promises';
import { AutoglmError } from '@open-autoglm/protocol';
import type { Ggml } from '../ggml/bindings.ts';
import { GgmlType } from '../ggml/types.ts';
import { problemWithGguf } from '../models/gguf-file.ts';
import { readGgufHeader, type GgufHeader, type HeaderTensor } from '../models/gguf-header.ts';
import type { GgufMetadata, GgufValue } from '../models/gguf-writer.ts';
import { shown } from '../models/shown.ts';
import { fullTypes, rowsPerPiece } from './convert-rows.ts';

export interface SourceTensor {
  /** GGUF's name. */
  readonly name: string;
  /** `enum ggml_type`. */
  readonly type: number;
  /** ggml's order: columns first. */
  readonly shape: readonly number[];
  /** Bytes of whole rows, in order. */
  pieces(): AsyncIterable<Uint8Array>;
}

/** A model that can be written as a GGUF of other types: what it is, and its tensors, read piece by piece. */
export interface ModelSource {
  /** For people. */
  readonly name: string;
  readonly architecture: string;
  readonly layerCount: number;
  readonly metadata: GgufMetadata;
  readonly tensors: readonly SourceTensor[];
}

/** Keys that are not true of the copy, or that the writer decides. */
const rewritten = new Set(['general.alignment', 'general.file_type', 'general.quantization_version']);

/** A GGUF of f32, f16 or bf16 matrices. Throws `engine_failed` for one that is quantized already. */
export async function ggufSource(ggml: Ggml, path: string): Promise<ModelSource> {
  const problem = await problemWithGguf(path);
  if (problem) throw new AutoglmError('engine_failed', `${path} cannot be quantized: ${problem}.`);
  const header = await readGgufHeader(path);
  const quantized = header.tensors.find(({ type }) => !fullTypes.includes(type));
  if (quantized) {
    const type = ggml.typeName(quantized.type).toUpperCase();
    throw new AutoglmError(
      'engine_failed',
      `${path} is quantized already (${quantized.name} is ${type}), and quantizing again would add a second error: start from the model's f32, f16 or bf16 file.`,
    );
  }
  const beyond = header.tensors.find((tensor) => tensor.offset + bytesOf(tensor) > header.size);
  if (beyond) throw cut(path, beyond.name);
  const architecture = header.string('general.architecture') ?? 'unnamed';
  return {
    name: path,
    architecture,
    layerCount: header.number(`${architecture}.block_count`) ?? 0,
    metadata: new Map(
      [...header.values]
        .filter(([key]) => !rewritten.has(key))
        .map(([key, value]): [string, GgufValue] => [key, { type: 'encoded', value }]),
    ),
    tensors: header.tensors.map((tensor) => ({ ...tensor, pieces: () => readRows(ggml, header, tensor) })),
  };
}

/** Of a tensor of one of `fullTypes`. */
function bytesOf({ type, shape }: HeaderTensor): number {
  return shape.reduce((product, size) => product * size, type === GgmlType.F32 ? 4 : 2);
}

async function* readRows(ggml: Ggml, header: GgufHeader, { name, type, shape, offset }: HeaderTensor): AsyncGenerator<Uint8Array> {
  const [columns = 1, ...others] = shape;
  const rows = others.reduce((product, size) => product * size, 1);
  const rowBytes = ggml.rowSize(type, columns);
  const atOnce = rowsPerPiece(columns);
  const file = await open(header.path);
  try {
    for (let row = 0; row < rows; row += atOnce) {
      yield await readBytes(file, offset + row * rowBytes, Math.min(atOnce, rows - row) * rowBytes, () => cut(header.path, name));
    }
  } finally {
    await file.close();
  }
}

/** Exactly these bytes of a file. Throws what `onCut` makes when it ends before. */
export async function readBytes(
  file: Awaited<ReturnType<typeof open>>,
  offset: number,
  length: number,
  onCut: () => Error,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let filled = 0; filled < length;) {
    const { bytesRead } = await file.read(bytes, filled, length - filled, offset + filled);
    if (bytesRead === 0) throw onCut();
    filled += bytesRead;
  }
  return bytes;
}

function cut(path: string, tensor: string): AutoglmError {
  return new AutoglmError('engine_failed', `${path} ends inside the tensor ${shown(tensor)}: download it again.`);
}
