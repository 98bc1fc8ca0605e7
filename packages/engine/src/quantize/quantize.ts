import { stat } from 'node:fs/promises';
import path from 'node:path';
import type { Ggml } from '../ggml/bindings.ts';
import { loadGgml } from '../ggml/library.ts';
import { GgmlType } from '../ggml/types.ts';
import { checkDiskSpace } from '../models/disk-space.ts';
import { writeGguf, type GgufContent, type GgufTensorSource, type GgufValue, type GgufWriteOptions } from '../models/gguf-writer.ts';
import { shown } from '../models/shown.ts';
import { writeThenRename } from '../models/write-then-rename.ts';
import { convertRows } from './convert-rows.ts';
import { huggingFaceSource } from './hugging-face/source.ts';
import { ggufSource, type ModelSource, type SourceTensor } from './model-source.ts';
import { fileTypes, quantizationVersion, tensorType, type ModelFacts, type TargetType } from './type-policy.ts';
import { makeFolder } from '../models/make-folder.ts';

export { ggufSource, type ModelSource } from './model-source.ts';
export { targetTypes, type TargetType } from './type-policy.ts';

export interface QuantizeOptions extends GgufWriteOptions {
  /** Undefined keeps every matrix as the source has it. */
  readonly type: TargetType | undefined;
  /** Pieces converted at once. */
  readonly threads: number;
}

export interface QuantizedModel {
  readonly sourceBytes: number;
  /** Of the tensors. */
  readonly bytes: number;
  readonly parameterCount: number;
  /** How many tensors have each type, such as `Q4_K`. */
  readonly types: Readonly<Record<string, number>>;
}

/** A folder as `transformers` saves a model, or a GGUF file. Throws `engine_failed` for what is neither, or is quantized already. */
export async function openSource(file: string): Promise<ModelSource> {
  const isFolder = await stat(file).then(
    (status) => status.isDirectory(),
    () => false,
  );
  return isFolder ? huggingFaceSource(file) : ggufSource(loadGgml(), file);
}

/**
 * Writes a model as a GGUF of another type. Memory: some tens of MB for each thread, whatever the model's size.
 * Rejects with `engine_failed` when the disk has no room, with the file system's error or the signal's reason, and leaves nothing then.
 */
export async function quantizeModel(source: ModelSource, target: string, options: QuantizeOptions): Promise<QuantizedModel> {
  const ggml = loadGgml();
  const content = quantizedContent(ggml, source, options);
  const sizes = describe(ggml, source, content);
  await makeFolder(path.dirname(path.resolve(target)));
  await checkDiskSpace(path.dirname(path.resolve(target)), sizes.bytes, path.basename(target));
  await writeThenRename(target, (file) => writeGguf(ggml, file, content, options));
  return sizes;
}

/** The quantized model, made as it is read. */
export function quantizedContent(
  ggml: Ggml,
  source: ModelSource,
  { type, threads }: Pick<QuantizeOptions, 'type' | 'threads'>,
): GgufContent {
  const facts = { layerCount: source.layerCount, hasOutput: source.tensors.some(({ name }) => name === 'output.weight') };
  const metadata = new Map<string, GgufValue>(source.metadata);
  if (type) metadata.set('general.file_type', { type: 'u32', value: fileTypes[type] });
  metadata.set('general.quantization_version', { type: 'u32', value: quantizationVersion });
  return {
    metadata,
    tensors: source.tensors.map((tensor) => convertTensor(ggml, source, tensor, typeOf(type, tensor, facts), threads)),
  };
}

function typeOf(type: TargetType | undefined, tensor: SourceTensor, facts: ModelFacts): number {
  if (type) return tensorType(type, tensor, facts);
  // Vectors are f32 in every GGUF.
  return tensorType('f16', tensor, facts) === GgmlType.F32 ? GgmlType.F32 : tensor.type;
}

function convertTensor(ggml: Ggml, source: ModelSource, tensor: SourceTensor, type: number, threads: number): GgufTensorSource {
  const { name, shape } = tensor;
  const conversion = { from: tensor.type, to: type, columns: shape[0] ?? 1, name: `${source.name}: the tensor ${shown(name)}` };
  return { name, type, shape, read: () => convertRows(ggml, tensor.pieces(), conversion, threads) };
}

function describe(ggml: Ggml, source: ModelSource, content: GgufContent): QuantizedModel {
  const count = ({ shape }: { readonly shape: readonly number[] }) => shape.reduce((product, size) => product * size, 1);
  const bytesOf = (tensors: readonly { readonly type: number; readonly shape: readonly number[] }[]) =>
    tensors.reduce((sum, tensor) => sum + ggml.rowSize(tensor.type, tensor.shape[0] ?? 1) * (count(tensor) / (tensor.shape[0] ?? 1)), 0);
  const types: Record<string, number> = {};
  for (const { type } of content.tensors) {
    const name = ggml.typeName(type).toUpperCase();
    types[name] = (types[name] ?? 0) + 1;
  }
  return {
    sourceBytes: bytesOf(source.tensors),
    bytes: bytesOf(content.tensors),
    parameterCount: source.tensors.reduce((sum, tensor) => sum + count(tensor), 0),
    types,
  };
}
