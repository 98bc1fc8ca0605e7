import { createHash } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { AutoglmError } from '@open-autoglm/protocol';
import { loadGgml } from '../ggml/library.ts';
import { fullTypes } from '../quantize/convert-rows.ts';
import { openSource, quantizedContent } from '../quantize/quantize.ts';
import type { TargetType } from '../quantize/type-policy.ts';
import { ensureConverted, writeContent } from './converted-model.ts';
import { readGgufHeader, type GgufHeader } from './gguf-header.ts';
import type { PrepareOptions, Quantization } from './prepare-options.ts';

/** What each is made as: of the four-bit types, q4_k keeps the answers nearer to the source's. */
export const quantizedTo: Readonly<Record<Quantization, TargetType>> = { none: 'f16', int8: 'q8_0', int4: 'q4_k' };

/** llama.cpp's numbers of files that are as quantized as is asked for: Q8_0; Q4_0, Q4_1, Q4_K_S, Q4_K_M. */
const satisfying: Readonly<Record<Quantization, readonly number[]>> = { none: [], int8: [7], int4: [2, 3, 14, 15] };

/** Of a source of two bytes a weight, roughly. */
const sizeShare: Readonly<Record<TargetType, number>> = { f16: 1, q8_0: 0.6, q6_k: 0.5, q4_k: 0.4, q4_0: 0.4 };

/** Raised when the same source would give other bytes. */
const quantizerVersion = 2;

/**
 * A GGUF of the quantization asked for: the file itself when it has it, or when none is asked for; else one made of it once
 * and kept in the cache folder. Throws `engine_failed` when the file has another quantization already.
 */
export async function ensureQuantized(file: string, options: PrepareOptions): Promise<string> {
  const { quantization } = options;
  if (quantization === undefined || quantization === 'none') return file;
  const header = await readGgufHeader(file);
  if (satisfying[quantization].includes(header.number('general.file_type') ?? -1)) return file;
  refuseQuantized(header, quantization);
  const { mtimeMs } = await stat(file);
  return makeQuantized(file, [header.size, mtimeMs], header.size, quantizedTo[quantization], options);
}

/**
 * A GGUF made once of a folder as `transformers` saves a model: int8 when nothing else is asked for, f16 for none.
 * Throws `engine_failed` when the folder lacks something or its model is not known.
 */
export async function ensureFromFolder(folder: string, options: PrepareOptions): Promise<string> {
  const names = (await readdir(folder)).filter((name) => /\.(json|safetensors|jinja)$/.test(name)).toSorted();
  const files = await Promise.all(names.map(async (name) => ({ name, ...pick(await stat(path.join(folder, name))) })));
  const size = files.reduce((sum, file) => sum + file.size, 0);
  return makeQuantized(folder, files, size, quantizedTo[options.quantization ?? 'int8'], options);
}

function pick({ size, mtimeMs }: { readonly size: number; readonly mtimeMs: number }) {
  return { size, mtimeMs };
}

function refuseQuantized({ path: file, tensors }: GgufHeader, quantization: Quantization): void {
  const quantized = tensors.find(({ type }) => !fullTypes.includes(type));
  if (!quantized) return;
  const type = loadGgml().typeName(quantized.type).toUpperCase();
  throw new AutoglmError(
    'engine_failed',
    `model_config.quantization is ${quantization}, but ${path.basename(file)} is quantized already (${type}), and doing it twice would add a second error: leave the key out, or give the model's f16 file.`,
  );
}

/** `version`: what changes when the source does. */
async function makeQuantized(
  file: string,
  version: unknown,
  size: number,
  type: TargetType,
  { home, onProgress, signal }: PrepareOptions,
): Promise<string> {
  // Another file under the same name gives another one here.
  const identity = createHash('sha256')
    .update(JSON.stringify([path.resolve(file), version]))
    .digest('hex')
    .slice(0, 12);
  const name = path.basename(path.resolve(file), '.gguf');
  return ensureConverted({
    folder: path.join(home, 'quantized'),
    fileName: `${name}-${identity}-${type}-v${quantizerVersion}.gguf`,
    bytesNeeded: size * sizeShare[type],
    write: writeContent(async () => quantizedContent(loadGgml(), await openSource(file), { type, threads: 2 })),
    onProgress: (fraction) => onProgress?.({ phase: `Quantizing ${name} to ${type}`, fraction }),
    signal,
  });
}
