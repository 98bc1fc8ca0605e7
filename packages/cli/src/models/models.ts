import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { totalmem } from 'node:os';
import path from 'node:path';
import { defaultHome } from '@open-autoglm/engine';
import { formatBytes } from '@open-autoglm/engine/bytes';
import { listPulled, modelFacts, namedModels, type KvWish, type ModelFacts, type Quantization } from '@open-autoglm/engine/cache';
import { isFileSystemError } from '@open-autoglm/engine/file-system-error';
import { loadConfig } from '@open-autoglm/gateway';
import { UserError } from '../failure.ts';
import { alignColumns } from '../replay/report/text.ts';

export interface ModelsOptions {
  readonly config?: string;
  readonly json?: boolean;
}

interface CachedFile {
  /** What `--model` takes. */
  readonly name: string;
  /** With what `model_config.quantization` the name means this file; null where it has no say. */
  readonly quantization: Quantization | null;
  readonly path: string;
}

export interface ListedModel extends CachedFile {
  readonly bytes: number;
  /** Why it cannot run, or null. */
  readonly problem: string | null;
  readonly architecture: string | null;
  readonly weightType: string | null;
  /** Bytes; null where the file does not say enough. */
  readonly memory: { readonly weights: number; readonly kv: number; readonly total: number; readonly contextLength: number } | null;
  readonly fits: boolean | null;
}

export interface ModelList {
  readonly home: string;
  readonly contextLength: number;
  readonly kvType: KvWish['kvType'];
  /** Of the machine, or of the container; bytes. */
  readonly memory: number;
  readonly models: readonly ListedModel[];
  /** Known by name, but not fetched yet. */
  readonly available: readonly string[];
}

/** Activations, the program itself and its vocabulary; bytes. */
const overhead = 150_000_000;

/** Prints what is in the cache folder. */
export async function models({ config: file, json }: ModelsOptions): Promise<void> {
  const { context_length: contextLength, kv_cache_type: kvType } = loadConfig({ file, env: process.env }).model_config;
  const home = defaultHome();
  const list = await listModels(home, { contextLength, kvType }, machineMemory()).catch((error: unknown) => {
    throw isFileSystemError(error) ? new UserError(`${home} cannot be read: ${error.message}. AUTOGLM_HOME names another folder.`) : error;
  });
  process.stdout.write(json ? `${JSON.stringify(list)}\n` : format(list));
}

export async function listModels(home: string, kv: KvWish, memory: number): Promise<ModelList> {
  const files = [...(await namedFiles(home)), ...(await pulledFiles(home)), ...(await quantizedFiles(home))];
  const listed = await Promise.all(files.map((file) => describe(file, kv, memory)));
  const present = new Set(files.map(({ name }) => name));
  return { home, ...kv, memory, models: listed, available: namedModels.map(({ name }) => name).filter((name) => !present.has(name)) };
}

/** A model of several types has a file of each that was asked for. */
async function namedFiles(home: string): Promise<CachedFile[]> {
  const found = namedModels.flatMap(({ name, fileName }) => {
    const isOne = fileName('int8') === fileName('int4');
    const types = isOne ? [null] : (['int8', 'int4', 'none'] as const);
    return types.map((quantization): CachedFile => ({ name, quantization, path: path.join(home, fileName(quantization ?? undefined)) }));
  });
  const isThere = await Promise.all(
    found.map(({ path: file }) =>
      stat(file).then(
        () => true,
        () => false,
      ),
    ),
  );
  return found.filter((_, index) => isThere[index]);
}

async function pulledFiles(home: string): Promise<CachedFile[]> {
  return (await listPulled(home)).map(({ name, path: file }) => ({ name, quantization: null, path: file }));
}

/** Those that `model_config.quantization` made; they go by their paths. */
async function quantizedFiles(home: string): Promise<CachedFile[]> {
  const folder = path.join(home, 'quantized');
  const entries = await readdir(folder, { withFileTypes: true }).catch((): Dirent[] => []);
  return entries
    .filter((entry) => entry.name.endsWith('.gguf') && (entry.isFile() || entry.isSymbolicLink()))
    .map((entry) => path.join(folder, entry.name))
    .map((file) => ({ name: file, quantization: null, path: file }));
}

async function describe(file: CachedFile, kv: KvWish, memory: number): Promise<ListedModel> {
  try {
    return { ...file, ...summarise(await modelFacts(file.path, kv), memory) };
  } catch (error) {
    // A link to nothing is one of many files, and so is one that somebody deletes meanwhile.
    const { size } = await stat(file.path).catch(() => ({ size: 0 }));
    return { ...file, bytes: size, problem: (error as Error).message, architecture: null, weightType: null, memory: null, fits: null };
  }
}

function summarise(
  { bytes, architecture, isKnown, weightType, memory: need }: ModelFacts,
  available: number,
): Omit<ListedModel, keyof CachedFile> {
  const memory = need ? { ...need, total: need.weights + need.kv + overhead } : null;
  return {
    bytes,
    architecture,
    weightType,
    memory,
    problem: isKnown ? null : `the engine does not know the architecture ${architecture}`,
    fits: memory && memory.total <= available,
  };
}

/** A container's limit where there is one. */
function machineMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

function format({ home, contextLength, kvType, memory, models: listed, available }: ModelList): string {
  const rows = listed.map((model) => [
    model.quantization === null ? model.name : `${model.name} (${model.quantization})`,
    model.weightType ?? '',
    formatBytes(model.bytes),
    model.memory ? formatBytes(model.memory.total) : '',
    verdict(model),
  ]);
  const table = alignColumns([['model', 'weights', 'file', 'memory', 'fits'], ...rows], ['left', 'left', 'right', 'right', 'left']);
  const rest = available.length > 0 ? [`not fetched yet: ${available.join(', ')} (autoglm pull NAME)`] : [];
  const note = `in ${home}; memory for a context of ${contextLength.toLocaleString('en')} tokens in ${kvType}, of ${formatBytes(memory)}`;
  return `${[...(rows.length > 0 ? table : []), ...rest, note].join('\n')}\n`;
}

function verdict({ problem, fits }: ListedModel): string {
  if (problem !== null) return problem;
  if (fits === null) return 'unknown';
  return fits ? 'yes' : 'no';
}
