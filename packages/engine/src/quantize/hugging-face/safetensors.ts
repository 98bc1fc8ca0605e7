import { open, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { AutoglmError, isObject } from '@open-autoglm/protocol';
import { GgmlType } from '../../ggml/types.ts';
import { shown } from '../../models/shown.ts';

/** A tensor of a safetensors file. */
export interface SafeTensor {
  readonly name: string;
  readonly file: string;
  /** `enum ggml_type`. */
  readonly type: number;
  readonly elementBytes: number;
  /** Row-major: the last dimension is contiguous. */
  readonly shape: readonly number[];
  /** From the start of the file, in bytes. */
  readonly offset: number;
}

const types: Readonly<Record<string, { readonly type: number; readonly elementBytes: number }>> = {
  F32: { type: GgmlType.F32, elementBytes: 4 },
  F16: { type: GgmlType.F16, elementBytes: 2 },
  BF16: { type: GgmlType.BF16, elementBytes: 2 },
};

/** The format's own bound. */
const headerBytesMax = 100_000_000;
const filesMax = 1000;

/** All tensors of a model's safetensors files, by name. Throws `engine_failed` naming the file that cannot be used. */
export async function readSafetensors(folder: string): Promise<Map<string, SafeTensor>> {
  const files = (await readdir(folder)).filter((name) => /^model.*\.safetensors$/.test(name)).toSorted();
  await checkIndex(folder, files);
  const tensors = new Map<string, SafeTensor>();
  for (const file of files) for (const tensor of await readHeader(path.join(folder, file))) tensors.set(tensor.name, tensor);
  return tensors;
}

/** A model in several files has an index, which names them all. */
async function checkIndex(folder: string, files: readonly string[]): Promise<void> {
  const text = await readFile(path.join(folder, 'model.safetensors.index.json'), 'utf8').catch(() => undefined);
  const wanted = text === undefined ? [] : filesOf(parseObject(text, path.join(folder, 'model.safetensors.index.json')), folder);
  const missing = wanted.find((file) => !files.includes(file));
  if (missing !== undefined) throw unusable(folder, `${shown(missing)}, which its index names, is missing`);
  if (files.length === 0) throw unusable(folder, 'it has no model*.safetensors');
  if (files.length > filesMax) throw unusable(folder, `it has ${files.length} safetensors files`);
}

function filesOf({ weight_map: map = {} }: Record<string, unknown>, folder: string): string[] {
  const files = isObject(map) ? Object.values(map) : undefined;
  if (!files?.every((file) => typeof file === 'string')) throw unusable(folder, "its index's weight_map does not name files");
  return files;
}

async function readHeader(file: string): Promise<SafeTensor[]> {
  const handle = await open(file);
  try {
    const { size } = await handle.stat();
    const start = Buffer.alloc(8);
    if ((await handle.read(start, 0, 8, 0)).bytesRead < 8) throw unusable(file, 'it ends inside its header');
    const length = Number(start.readBigUInt64LE());
    if (length > headerBytesMax) throw unusable(file, 'its header is damaged');
    if (length > size - 8) throw unusable(file, 'it ends inside its header');
    const header = Buffer.alloc(length);
    if ((await handle.read(header, 0, length, 8)).bytesRead < length) throw unusable(file, 'it ends inside its header');
    const entries = Object.entries(parseObject(header.toString('utf8'), file)).filter(([name]) => name !== '__metadata__');
    return entries.map(([name, entry]) => toTensor(file, name, entry, 8 + length, size));
  } finally {
    await handle.close();
  }
}

function toTensor(file: string, name: string, entry: unknown, dataOffset: number, size: number): SafeTensor {
  if (!isObject(entry)) throw unusable(file, `its header does not describe the tensor ${shown(name)}`);
  const { dtype, shape, data_offsets: offsets } = entry;
  const type = typeof dtype === 'string' && Object.hasOwn(types, dtype) ? types[dtype] : undefined;
  if (!type) throw unusable(file, `the tensor ${shown(name)} is ${shown(JSON.stringify(dtype) ?? 'untyped')}; F32, F16 and BF16 are read`);
  if (!isSizes(shape) || !isSizes(offsets) || offsets.length !== 2)
    throw unusable(file, `the tensor ${shown(name)} has a shape or a place that is none`);
  const [start, end] = offsets as [number, number];
  const count = shape.reduce((product, length) => product * length, 1);
  const isWhole = end - start === count * type.elementBytes && dataOffset + end <= size;
  if (!isWhole) throw unusable(file, `the tensor ${shown(name)} does not lie where its header says: download it again`);
  return { name, file, shape, offset: dataOffset + start, ...type };
}

function isSizes(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

function parseObject(text: string, file: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw unusable(file, `its JSON is damaged (${shown((error as Error).message)})`);
  }
  if (!isObject(value)) throw unusable(file, 'its JSON is no object');
  return value;
}

function unusable(file: string, reason: string): AutoglmError {
  return new AutoglmError('engine_failed', `${file} cannot be used: ${reason}.`);
}
