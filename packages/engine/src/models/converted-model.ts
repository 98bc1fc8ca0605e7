import { open, readFile, rename, rm, writeFile, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { randomUUID } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { AutoglmError } from '@open-autoglm/protocol';
import { loadGgml } from '../ggml/library.ts';
import { formatBytes } from './bytes.ts';
import { checkDiskSpace } from './disk-space.ts';
import { isFileSystemError } from './file-system-error.ts';
import { writeGguf, type GgufContent, type GgufWriteOptions, type WrittenFile } from './gguf-writer.ts';
import { writeThenRename } from './write-then-rename.ts';
import { makeFolder } from './make-folder.ts';

/** A model that is made once and then kept: its file, and beside it a seal that says what the file must be. */
export interface ConvertedModel {
  readonly folder: string;
  /** Holds the converter's version, so that a newer converter makes a new file. */
  readonly fileName: string;
  /** Bytes that the disk must have free before the work begins, roughly. */
  readonly bytesNeeded: number;
  /** Writes the file, only when it must be made. The same bytes in every process. */
  write(file: FileHandle, options: GgufWriteOptions): Promise<WrittenFile>;
  readonly onProgress?: ((fraction: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What `write` is for a model that is made tensor by tensor. */
export function writeContent(content: () => Promise<GgufContent>): ConvertedModel['write'] {
  return async (file, options) => writeGguf(loadGgml(), file, await content(), options);
}

/**
 * The path of a whole, checked file; converts when there is none or it is damaged. Two processes may do this at once:
 * each writes its own temporary file, and the last rename wins.
 *
 * Throws `engine_failed` when the folder cannot be written to or has no room, what `write` throws, or the signal's reason.
 */
export async function ensureConverted(model: ConvertedModel): Promise<string> {
  const file = path.join(model.folder, model.fileName);
  if (await isWhole(file)) return file;
  model.signal?.throwIfAborted();
  try {
    await makeFolder(model.folder);
    await checkDiskSpace(model.folder, model.bytesNeeded, `the model ${model.fileName}`);
    await convert(model, file);
  } catch (error) {
    throw isFileSystemError(error) ? cannotWrite(model, error) : error;
  }
  return file;
}

/** Whether the file is there and what its seal says. */
export async function isWhole(file: string): Promise<boolean> {
  try {
    const seal = JSON.parse(await readFile(sealOf(file), 'utf8')) as WrittenFile;
    const found = await measure(file);
    return found.size === seal.size && found.crc32 === seal.crc32;
  } catch {
    // Missing or unreadable is the same as damaged: it is made again, and that says what is wrong with the folder.
    return false;
  }
}

/**
 * Damage is looked for, not malice, so a CRC is enough: 28 MB take about 15 ms, a fifth of what SHA-256 takes, at every
 * start. Piece by piece, so that the process does not grow by the file.
 */
async function measure(file: string): Promise<WrittenFile> {
  const piece = Buffer.allocUnsafe(1 << 20);
  const handle = await open(file);
  try {
    let size = 0;
    let checksum = 0;
    for (;;) {
      const { bytesRead } = await handle.read(piece, 0, piece.length);
      if (bytesRead === 0) return { size, crc32: checksum };
      checksum = crc32(piece.subarray(0, bytesRead), checksum);
      size += bytesRead;
    }
  } finally {
    await handle.close();
  }
}

async function convert(model: ConvertedModel, file: string): Promise<void> {
  await writeThenRename(
    file,
    (handle) => model.write(handle, { onProgress: model.onProgress, signal: model.signal }),
    // Every process makes the same bytes, so a seal fits the file of any of them. After a crash between the two
    // renames the seal fits no file, and the next start converts again.
    (seal) => writeSeal(file, seal),
  );
}

async function writeSeal(file: string, seal: WrittenFile): Promise<void> {
  const temporary = `${file}.${randomUUID()}.seal.tmp`;
  try {
    await writeFile(temporary, JSON.stringify(seal));
    await rename(temporary, sealOf(file));
  } finally {
    await rm(temporary, { force: true });
  }
}

function sealOf(file: string): string {
  return `${file}.json`;
}

function cannotWrite({ folder, bytesNeeded }: ConvertedModel, error: NodeJS.ErrnoException): AutoglmError {
  const reason = error.code === 'ENOSPC' ? 'the disk is full' : error.message;
  return new AutoglmError(
    'engine_failed',
    `The model cannot be written to ${folder}: ${reason}. It needs about ${formatBytes(bytesNeeded)}: make room or set AUTOGLM_HOME to a folder that can be written to.`,
    { cause: error },
  );
}
