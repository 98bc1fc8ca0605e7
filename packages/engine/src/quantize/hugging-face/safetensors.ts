import { open, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { AutoglmError } from '@open-autoglm/protocol';
import { GgmlType } from '../../ggml/types.ts';

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
  const wanted = text === undefined ? [] : Object.values((parseJson(text, folder) as { weight_map?: Record<string, string> }).weight_map ?? {});
  const missing = wanted.find((file) => !files.includes(file));
  if (missing !== undefined) throw unusable(folder, `${missing}, which its index names, is missing`);
  if (files.length === 0) throw unusable(folder, 'it has no model*.safetensors');
  if (files.length > filesMax) throw unusable(folder, `it has ${files.length} safetensors files`);
}

async function readHeader(file: string): Promise<SafeTensor[]> {
  const handle = await open(file);
  try {
    const { size } = await handle.stat();
    const start = Buffer.alloc(8);
    if ((await handle.read(start, 0, 8, 0)).bytesRead < 8) throw unusable(file, 'it ends inside its header');
    const length = Number(start.readBigUInt64LE());
    if (length > headerBytesMax) throw unusable(file, 'its header is damaged');
    const header = Buffer.alloc(length);
    if ((await handle.read(header, 0, length, 8)).bytesRead < length) throw unusable(file, 'it ends inside its header');
    const entries = Object.entries(parseJson(header.toString('utf8'), file) as Record<string, unknown>).filter(([name]) => name !== '__metadata__');
    return entries.map(([name, entry]) => toTensor(file, name, entry, 8 + length, size));
  } finally {
    await handle.close();
  }
}

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

function toTensor(file: string, name: string, entry: unknown, dataOffset: number, size: number): SafeTensor {
  const { dtype, shape, data_offsets: [start, end] = [Number.NaN, Number.NaN] } = entry as Partial<Entry>;
  const type = types[dtype ?? ''];
  if (!type) throw unusable(file, `the tensor ${name} is ${dtype}; F32, F16 and BF16 are read`);
  const count = (shape ?? []).reduce((product, length) => product * length, 1);
  const isWhole = Array.isArray(shape) && Number.isSafeInteger(start) && start >= 0 && end - start === count * type.elementBytes && dataOffset + end <= size;
  if (!isWhole) throw unusable(file, `the tensor ${name} does not lie where its header says: download it again`);
  return { name, file, shape, offset: dataOffset + start, ...type };
}

function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw unusable(file, `its header is no JSON (${(error as Error).message})`);
  }
}

function unusable(file: string, reason: string): AutoglmError {
  return new AutoglmError('engine_failed', `${file} cannot be used: ${reason}.`);
}
