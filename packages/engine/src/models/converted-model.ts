import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { AutoglmError } from '@open-autoglm/protocol';
import { loadGgml } from '../ggml/library.ts';
import { writeGguf, type GgufContent } from './gguf-writer.ts';

/** A model that is made once and then kept: its file, and beside it what the file must be. */
export interface ConvertedModel {
  readonly folder: string;
  /** Holds the converter's version, so that a newer converter makes a new file. */
  readonly fileName: string;
  /** What to write, asked for only when the file must be made. */
  content(): Promise<GgufContent>;
  readonly onProgress?: ((fraction: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

interface Seal {
  readonly size: number;
  readonly sha256: string;
}

/** Older unfinished files are of processes that crashed. */
const staleAfterMs = 60 * 60 * 1000;

/**
 * The path of a whole, checked file; converts when there is none or it is damaged. The whole file is hashed, which takes
 * about 20 ms for 28 MB. Two processes may do this at once: each writes its own temporary file, and the last rename wins.
 */
export async function ensureConverted(model: ConvertedModel): Promise<string> {
  const file = path.join(model.folder, model.fileName);
  if (await isWhole(file)) return file;
  try {
    await mkdir(model.folder, { recursive: true });
    await removeStale(model.folder, model.fileName);
    await convert(model, file);
  } catch (error) {
    throw explain(error, model.folder);
  }
  return file;
}

async function isWhole(file: string): Promise<boolean> {
  try {
    const seal = JSON.parse(await readFile(sealOf(file), 'utf8')) as Seal;
    const bytes = await readFile(file);
    return bytes.length === seal.size && createHash('sha256').update(bytes).digest('hex') === seal.sha256;
  } catch {
    // Missing or unreadable is the same as damaged: it is made again, and that says what is wrong with the folder.
    return false;
  }
}

async function convert(model: ConvertedModel, file: string): Promise<void> {
  const content = await model.content();
  const temporary = `${file}.${randomUUID()}.tmp`;
  try {
    const handle = await open(temporary, 'wx');
    let seal: Seal;
    try {
      seal = await writeGguf(loadGgml(), handle, content, { onProgress: model.onProgress, signal: model.signal });
      await handle.sync();
    } finally {
      await handle.close();
    }
    // The contents of the file depend on nothing but the converter, so a seal fits the file of any process.
    await writeFile(`${temporary}.seal`, JSON.stringify(seal));
    await rename(`${temporary}.seal`, sealOf(file));
    await rename(temporary, file);
  } finally {
    await rm(temporary, { force: true });
    await rm(`${temporary}.seal`, { force: true });
  }
}

async function removeStale(folder: string, fileName: string): Promise<void> {
  const names = await readdir(folder);
  for (const name of names.filter((candidate) => candidate.startsWith(`${fileName}.`) && candidate.includes('.tmp'))) {
    const { mtimeMs } = await stat(path.join(folder, name));
    if (Date.now() - mtimeMs > staleAfterMs) await rm(path.join(folder, name), { force: true });
  }
}

function sealOf(file: string): string {
  return `${file}.json`;
}

function explain(error: unknown, folder: string): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  if (error instanceof AutoglmError || !code) return error;
  const reason = code === 'ENOSPC' ? 'the disk is full' : (error as Error).message;
  return new AutoglmError(
    'engine_failed',
    `The model cannot be written to ${folder}: ${reason}. It needs about 30 MB; set AUTOGLM_HOME to a folder that can be written to.`,
    { cause: error },
  );
}
