import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os';

/** What a figure depends on besides the program. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  /** Instruction sets that ggml's kernels use, of those the CPU has. */
  readonly instructionSets: readonly string[];
  /** Bytes; `null` where the system does not say. */
  readonly lastLevelCacheBytes: number | null;
  readonly memoryBytes: number;
  /** Runnable processes, averaged over the minute before the run. */
  readonly loadBefore: number;
  /** The same at the end, when the run itself has made most of it. */
  readonly loadAfter?: number;
}

export interface Versions {
  readonly node: string;
  readonly package: string;
  /** The npm package with ggml's kernels, and its version; `null` where there is none for this platform. */
  readonly ggml: string | null;
  /** Name and release of the operating system's kernel. */
  readonly system: string;
  /** `null` outside a git checkout; a trailing `+` tells of changes that are not committed. */
  readonly commit: string | null;
}

const relevantInstructionSets = new Set([
  'avx',
  'avx2',
  'avx_vnni',
  'fma',
  'f16c',
  'avx512f',
  'avx512bw',
  'avx512_vnni',
  'avx512_bf16',
  'avx512_fp16',
  'amx_tile',
  'amx_int8',
  'amx_bf16',
  'asimd',
  'asimddp',
  'i8mm',
  'sve',
  'sve2',
  'sme',
]);

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    instructionSets: instructionSets(),
    lastLevelCacheBytes: lastLevelCacheBytes(),
    memoryBytes: totalmem(),
    loadBefore: loadavg()[0] as number,
  };
}

export function describeVersions(): Versions {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };
  return {
    node: process.versions.node,
    package: manifest.version,
    ggml: ggmlPackage(),
    system: `${type()} ${release()}`,
    commit: gitCommit(),
  };
}

/** A warning when other programs were busy, or nothing. */
export function loadWarning({ loadBefore, cores }: Machine): string | undefined {
  const limit = 0.25 * cores;
  if (loadBefore <= limit) return undefined;
  return `The load average was ${loadBefore.toFixed(2)} before the run: other programs wanted the ${cores} cores. Ratios hold better than figures.`;
}

function instructionSets(): string[] {
  const text = read('/proc/cpuinfo') ?? '';
  const flags = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(text)?.[1]?.split(' ') ?? [];
  return flags.filter((flag) => relevantInstructionSets.has(flag));
}

function lastLevelCacheBytes(): number | null {
  const sizes = [0, 1, 2, 3, 4].flatMap((index) => read(`/sys/devices/system/cpu/cpu0/cache/index${index}/size`) ?? []);
  const kilobytes = sizes.map((size) => Number.parseInt(size, 10));
  return kilobytes.length === 0 ? null : Math.max(...kilobytes) * 1024;
}

/** Where the engine finds it. */
function ggmlPackage(): string | null {
  const name = `@node-llama-cpp/${process.platform === 'win32' ? 'win' : process.platform === 'darwin' ? 'mac' : process.platform}-${process.arch}`;
  const folders = createRequire(import.meta.url).resolve.paths(name) ?? [];
  const manifest = folders.map((folder) => read(`${folder}/${name}/package.json`)).find((text) => text !== undefined);
  return manifest === undefined ? null : `${name}@${(JSON.parse(manifest) as { version: string }).version}`;
}

function gitCommit(): string | null {
  const git = (...args: string[]) =>
    execFileSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    return git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain') === '' ? '' : '+');
  } catch {
    return null;
  }
}

/** `undefined` where there is no such file, as on systems other than Linux. */
function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
