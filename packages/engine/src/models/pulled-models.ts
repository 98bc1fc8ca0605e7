import { readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { AutoglmError } from '@open-autoglm/protocol';
import { makeFolder } from './make-folder.ts';

/** A hub of models: Hugging Face, or ModelScope. */
export type HubName = 'hf' | 'ms';

/** A repository on a hub. */
export interface Repository {
  readonly hub: HubName;
  readonly owner: string;
  readonly name: string;
}

/** A model that was pulled from a hub into the cache folder. */
export interface PulledModel {
  /** `hf:OWNER/NAME:FILE`. */
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
}

/** What is known of a pulled file; stands beside it. */
export interface PulledRecord {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
  /** ISO 8601. */
  readonly pulledAt: string;
}

const word = String.raw`[A-Za-z0-9_][A-Za-z0-9._-]{0,127}`;
const reference = new RegExp(`^(hf|ms):(${word})/(${word})(?::(.+))?$`);
/** No control characters, nor any that a file system or a terminal takes for something else; none begins with a dot. */
const segment = String.raw`(?!\.)[^\p{C}\\/:*?"<>|]{1,128}`;
const filePath = new RegExp(`^(?:${segment}/){0,8}${segment}$`, 'u');
/** Hub, owner, name and the segments of a file. */
const maxDepth = 12;

/** Reads `hf:OWNER/NAME` or `hf:OWNER/NAME:FILE`; undefined for what is no such reference. */
export function parseReference(text: string): { readonly repository: Repository; readonly file: string | undefined } | undefined {
  const [, hub, owner, name, file] = reference.exec(text) ?? [];
  if (!owner || !name || (file !== undefined && !isFilePath(file))) return undefined;
  return { repository: { hub: hub as HubName, owner, name }, file };
}

/** Whether a hub's file path can stand for a path below a folder of ours, and nowhere else. */
export function isFilePath(file: string): boolean {
  return filePath.test(file);
}

export function referenceTo({ hub, owner, name }: Repository, file: string): string {
  return `${hub}:${owner}/${name}:${file}`;
}

/** Where a hub's file stands in the cache folder. */
export function pulledPath(home: string, { hub, owner, name }: Repository, file: string): string {
  return path.join(home, 'models', hub, owner, name, ...file.split('/'));
}

/** Notes that the file at its place is whole and checked: from then on it is found. */
export async function recordPulled(file: string, record: PulledRecord): Promise<void> {
  const temporary = `${recordOf(file)}.${process.pid}.tmp`;
  await makeFolder(path.dirname(file));
  await writeFile(temporary, JSON.stringify(record));
  await rename(temporary, recordOf(file));
}

/** The record of a file, where it is there with the length that it was pulled with. */
export async function readPulled(file: string): Promise<PulledRecord | undefined> {
  try {
    const record = JSON.parse(await readFile(recordOf(file), 'utf8')) as PulledRecord;
    return (await stat(file)).size === record.bytes && parseReference(record.name) ? record : undefined;
  } catch {
    return undefined;
  }
}

/** All pulled models, by name. */
export async function listPulled(home: string): Promise<PulledModel[]> {
  const folder = path.join(home, 'models');
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const files = entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.gguf'))
    .map((entry) => path.join(entry.parentPath, entry.name));
  const near = files.filter((file) => path.relative(folder, file).split(path.sep).length <= maxDepth);
  const models = await Promise.all(
    near.map(async (file) => {
      const record = await readPulled(file);
      return record ? [{ name: record.name, path: file, bytes: record.bytes }] : [];
    }),
  );
  return models.flat().toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * The pulled model that a name means: `hf:OWNER/NAME:FILE`; without the file where one is pulled of the repository; or the
 * file's own name, with or without `.gguf`. Throws `engine_failed` when it means several, or is a reference to none.
 */
export async function findPulled(home: string, name: string): Promise<PulledModel | undefined> {
  const wanted = name.toLowerCase();
  const models = await listPulled(home);
  const found = models.filter((model) => namesOf(model).includes(wanted));
  if (found.length > 1)
    throw new AutoglmError(
      'engine_failed',
      `The model ${name} may be any of ${found.map((model) => model.name).join(', ')}: name one of them.`,
    );
  if (found.length === 0 && parseReference(name))
    throw new AutoglmError('engine_failed', `The model ${name} has not been pulled: run autoglm pull ${name}.`);
  return found[0];
}

function namesOf({ name }: PulledModel): string[] {
  const lower = name.toLowerCase();
  const repository = lower.slice(0, lower.lastIndexOf(':'));
  const file = path.posix.basename(lower.slice(lower.lastIndexOf(':') + 1));
  return [lower, lower.replace(/\.gguf$/, ''), repository, repository.replace(/^..:/, ''), file, file.replace(/\.gguf$/, '')];
}

function recordOf(file: string): string {
  return `${file}.json`;
}
