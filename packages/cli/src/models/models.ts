import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { totalmem } from 'node:os';
import path from 'node:path';
import { defaultHome } from '@open-autoglm/engine';
import { formatBytes } from '@open-autoglm/engine/bytes';
import { listPulled, modelFacts, namedModels, type ModelFacts } from '@open-autoglm/engine/cache';
import { loadConfig } from '@open-autoglm/gateway';
import { alignColumns } from '../replay/report/text.ts';

export interface ModelsOptions {
  readonly config?: string;
  readonly json?: boolean;
}

interface CachedFile {
  /** What `--model` takes. */
  readonly name: string;
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
  const contextLength = loadConfig({ file, env: process.env }).model_config.context_length;
  const list = await listModels(defaultHome(), contextLength, machineMemory());
  process.stdout.write(json ? `${JSON.stringify(list)}\n` : format(list));
}

export async function listModels(home: string, contextLength: number, memory: number): Promise<ModelList> {
  const files = [...(await namedFiles(home)), ...(await listPulled(home)), ...(await quantizedFiles(home))];
  const listed = await Promise.all(files.map((file) => describe(file, contextLength, memory)));
  const present = new Set(files.map(({ name }) => name));
  return { home, contextLength, memory, models: listed, available: namedModels.map(({ name }) => name).filter((name) => !present.has(name)) };
}

async function namedFiles(home: string): Promise<CachedFile[]> {
  const found = namedModels.flatMap((model) => [...new Set((['int8', 'int4', 'none'] as const).map((quantization) => model.fileName(quantization)))].map((file) => ({ name: model.name, path: path.join(home, file) })));
  const isThere = await Promise.all(found.map(({ path: file }) => stat(file).then(() => true, () => false)));
  return found.filter((_, index) => isThere[index]);
}

/** Those that `model_config.quantization` made; they go by their paths. */
async function quantizedFiles(home: string): Promise<CachedFile[]> {
  const folder = path.join(home, 'quantized');
  const entries = await readdir(folder, { withFileTypes: true }).catch((): Dirent[] => []);
  return entries.filter((entry) => entry.name.endsWith('.gguf')).map((entry) => ({ name: path.join(folder, entry.name), path: path.join(folder, entry.name) }));
}

async function describe(file: CachedFile, contextLength: number, memory: number): Promise<ListedModel> {
  const { name, path: at } = file;
  try {
    return { name, path: at, ...summarise(await modelFacts(at, contextLength), memory) };
  } catch (error) {
    const { size } = await stat(at);
    return { name, path: at, bytes: size, problem: (error as Error).message, architecture: null, weightType: null, memory: null, fits: null };
  }
}

function summarise({ bytes, architecture, isKnown, weightType, memory: need }: ModelFacts, available: number): Omit<ListedModel, keyof CachedFile> {
  const memory = need ? { ...need, total: need.weights + need.kv + overhead } : null;
  return { bytes, architecture, weightType, memory, problem: isKnown ? null : `the engine does not know the architecture ${architecture}`, fits: memory && memory.total <= available };
}

/** A container's limit where there is one. */
function machineMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

function format({ home, contextLength, memory, models: listed, available }: ModelList): string {
  const rows = listed.map((model) => [model.name, model.weightType ?? '', formatBytes(model.bytes), model.memory ? formatBytes(model.memory.total) : '', verdict(model)]);
  const table = alignColumns([['model', 'weights', 'file', 'memory', 'fits'], ...rows], ['left', 'left', 'right', 'right', 'left']);
  const rest = available.length > 0 ? [`not fetched yet: ${available.join(', ')} (autoglm pull NAME)`] : [];
  const note = `in ${home}; memory for a context of ${contextLength.toLocaleString('en')} tokens, of ${formatBytes(memory)}`;
  return `${[...(rows.length > 0 ? table : []), ...rest, note].join('\n')}\n`;
}

function verdict({ problem, fits }: ListedModel): string {
  if (problem !== null) return problem;
  if (fits === null) return 'unknown';
  return fits ? 'yes' : 'no';
}
