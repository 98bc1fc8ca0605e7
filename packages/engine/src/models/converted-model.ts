import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { AutoglmError } from '@open-autoglm/protocol';
import { loadGgml } from '../ggml/library.ts';
import { writeGguf, type GgufContent, type WrittenFile } from './gguf-writer.ts';

/** A model that is made once and then kept: its file, and beside it a seal that says what the file must be. */
export interface ConvertedModel {
  readonly folder: string;
  /** Holds the converter's version, so that a newer converter makes a new file. */
  readonly fileName: string;
  /** What to write, asked for only when the file must be made. The same bytes in every process. */
  content(): Promise<GgufContent>;
  readonly onProgress?: ((fraction: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Unfinished files that nobody has written to for so long are of processes that crashed. */
const staleAfterMs = 60 * 60 * 1000;
const unfinished = '.tmp';

/**
 * The path of a whole, checked file; converts when there is none or it is damaged. Two processes may do this at once:
 * each writes its own temporary file, and the last rename wins.
 *
 * Throws `engine_failed` when the folder cannot be written to, what `content` throws, or the signal's reason.
 */
export async function ensureConverted(model: ConvertedModel): Promise<string> {
  const file = path.join(model.folder, model.fileName);
  if (await isWhole(file)) return file;
  model.signal?.throwIfAborted();
  try {
    await mkdir(model.folder, { recursive: true });
    await removeStale(model);
    await convert(model, file);
  } catch (error) {
    throw isFileSystemError(error) ? cannotWrite(model.folder, error) : error;
  }
  return file;
}

async function isWhole(file: string): Promise<boolean> {
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
  const content = await model.content();
  const name = `${file}.${randomUUID()}`;
  const [temporary, temporarySeal] = [`${name}${unfinished}`, `${name}.seal${unfinished}`];
  try {
    const seal = await write(model, temporary, content);
    await writeFile(temporarySeal, JSON.stringify(seal));
    // Every process makes the same bytes, so a seal fits the file of any of them. After a crash between the two
    // renames the seal fits no file, and the next start converts again.
    await rename(temporarySeal, sealOf(file));
    await rename(temporary, file);
  } finally {
    await rm(temporary, { force: true });
    await rm(temporarySeal, { force: true });
  }
}

async function write(model: ConvertedModel, file: string, content: GgufContent): Promise<WrittenFile> {
  const handle = await open(file, 'wx');
  try {
    const written = await writeGguf(loadGgml(), handle, content, { onProgress: model.onProgress, signal: model.signal });
    // Before it has its final name: after a power failure the name would stand for missing bytes.
    await handle.sync();
    return written;
  } finally {
    await handle.close();
  }
}

async function removeStale({ folder, fileName }: ConvertedModel): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.startsWith(`${fileName}.`) || !name.endsWith(unfinished)) continue;
    const file = path.join(folder, name);
    // Another process may have renamed it since.
    const status = await stat(file).catch(() => undefined);
    if (status && Date.now() - status.mtimeMs > staleAfterMs) await rm(file, { force: true });
  }
}

function sealOf(file: string): string {
  return `${file}.json`;
}

function isFileSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error && 'errno' in error;
}

function cannotWrite(folder: string, error: NodeJS.ErrnoException): AutoglmError {
  const reason = error.code === 'ENOSPC' ? 'the disk is full' : error.message;
  return new AutoglmError(
    'engine_failed',
    `The model cannot be written to ${folder}: ${reason}. It needs about 30 MB: make room or set AUTOGLM_HOME to a folder that can be written to.`,
    { cause: error },
  );
}
