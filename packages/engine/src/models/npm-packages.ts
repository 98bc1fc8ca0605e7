import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { AutoglmError } from '@open-autoglm/protocol';
import { checkDiskSpace } from './disk-space.ts';
import { host } from './host.ts';
import { isAlive } from './lock.ts';
import { makeFolder } from './make-folder.ts';

/** A package of files, pinned to its bytes. */
export interface PinnedPackage {
  readonly name: string;
  readonly version: string;
  /** Of its tarball, as npm's lockfile writes it. */
  readonly integrity: string;
  readonly packedBytes: number;
  readonly unpackedBytes: number;
}

export interface FetchOptions {
  /** A folder is made in it for the packages, and removed in the end. */
  readonly home: string;
  readonly onProgress?: ((fraction: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Uses the packages' folders, in the order asked for, while they are there. */
export type UsePackages<T> = (folders: readonly string[]) => Promise<T>;
export type FetchPackages = <T>(packages: readonly PinnedPackage[], options: FetchOptions, use: UsePackages<T>) => Promise<T>;

const pollMs = 200;
/** npm retries by itself; when nothing has come for so long, it will not. */
const stallMs = 300_000;
const stderrLimit = 2000;
const folderName = /^npm-([0-9a-f]{8})-(\d+)-[A-Za-z0-9]{6}$/;
/** No download goes on for so long. */
const oldAfterMs = 24 * 60 * 60 * 1000;
/** Folders that this process uses. One under its id that is not among them is of a dead process with the same id. */
const used = new Set<string>();

/**
 * Fetches packages with the user's own npm, so that its registry, proxy and credentials apply: `npm ci` of a lockfile that
 * holds nothing but their versions and integrities, without their scripts, with a cache of its own, so that no copy stays
 * behind. Throws `engine_failed` with npm's reason, when there is no room, or the signal's reason.
 */
export const fetchPackages: FetchPackages = async (packages, options, use) => {
  const total = packages.reduce((sum, { packedBytes, unpackedBytes }) => sum + packedBytes + unpackedBytes, 0);
  await makeFolder(options.home);
  const folder = await mkdtemp(path.join(options.home, folderPrefix(process.pid)));
  used.add(folder);
  try {
    await checkDiskSpace(folder, total, `the packages ${packages.map(describe).join(' and ')}`);
    await writeManifests(folder, packages);
    await runNpm(folder, packages, total, options);
    return await use(packages.map(({ name }) => path.join(folder, 'node_modules', name)));
  } finally {
    await rm(folder, { recursive: true, force: true });
    used.delete(folder);
  }
};

/** How the names of a process's folders begin, on this host. */
export function folderPrefix(pid: number): string {
  return `npm-${host}-${pid}-`;
}

/** Removes the folders of processes that were killed: nobody else would, and each may hold a model. */
export async function removeStaleFolders(home: string): Promise<void> {
  for (const name of await readdir(home)) {
    const [, itsHost, owner] = folderName.exec(name) ?? [];
    const folder = path.join(home, name);
    if (owner === undefined || used.has(folder)) continue;
    const isDead = itsHost === host && (owner === String(process.pid) || !isAlive(Number(owner)));
    if (isDead || (await isOld(folder))) await rm(folder, { recursive: true, force: true });
  }
}

/** Its owner's id may be another process's by now. */
async function isOld(folder: string): Promise<boolean> {
  const status = await stat(folder).catch(() => undefined);
  return status !== undefined && Date.now() - status.mtimeMs > oldAfterMs;
}

async function writeManifests(folder: string, packages: readonly PinnedPackage[]): Promise<void> {
  const dependencies = Object.fromEntries(packages.map(({ name, version }) => [name, version]));
  const root = { name: 'models', version: '0.0.0', private: true, dependencies };
  const entries = packages.map(({ name, version, integrity }) => [`node_modules/${name}`, { version, integrity }]);
  const lock = {
    name: root.name,
    version: root.version,
    lockfileVersion: 3,
    requires: true,
    packages: { '': root, ...Object.fromEntries(entries) },
  };
  await writeFile(path.join(folder, 'package.json'), JSON.stringify(root));
  await writeFile(path.join(folder, 'package-lock.json'), JSON.stringify(lock));
}

async function runNpm(
  folder: string,
  packages: readonly PinnedPackage[],
  total: number,
  { onProgress, signal }: FetchOptions,
): Promise<void> {
  signal?.throwIfAborted();
  const [command, first] = npmCommand();
  const args = [
    ...first,
    'ci',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--no-progress',
    '--no-update-notifier',
    '--loglevel=error',
    '--cache',
    path.join(folder, 'cache'),
  ];
  const child = spawn(command, args, {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
    shell: process.platform === 'win32' && first.length === 0,
  });
  // The engine process is ended from outside when its gateway goes; npm must not go on alone.
  // npm goes on after a SIGTERM while it waits for a registry, and all that it leaves is removed anyway.
  const kill = () => void child.kill('SIGKILL');
  process.once('exit', kill);
  signal?.addEventListener('abort', kill, { once: true });
  const watch = watchGrowth(folder, total, onProgress, kill);
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-stderrLimit)));
  try {
    const outcome = await new Promise<number | string>((resolve) => {
      child.once('error', (error) => resolve(error.message));
      child.once('close', (code, by) => resolve(code ?? by ?? 1));
    });
    signal?.throwIfAborted();
    if (outcome !== 0) throw failure(packages, watch.stalled ? 'nothing came for five minutes' : said || String(outcome));
  } finally {
    watch.stop();
    process.off('exit', kill);
    signal?.removeEventListener('abort', kill);
  }
}

/** npm tells nobody how far it is: the bytes on the disk do. */
function watchGrowth(
  folder: string,
  total: number,
  onProgress: FetchOptions['onProgress'],
  onStall: () => void,
): { readonly stalled: boolean; stop(): void } {
  const state = { stalled: false, stopped: false, best: 0, grownAt: performance.now() };
  const look = async () => {
    const bytes = await sizeOf(folder);
    if (state.stopped) return;
    if (bytes > state.best) {
      state.best = bytes;
      state.grownAt = performance.now();
      onProgress?.(Math.min(1, bytes / total));
    } else if (performance.now() - state.grownAt > stallMs) {
      state.stalled = true;
      onStall();
    }
    timer = setTimeout(look, pollMs);
  };
  let timer = setTimeout(look, pollMs);
  return {
    get stalled() {
      return state.stalled;
    },
    stop() {
      state.stopped = true;
      clearTimeout(timer);
    },
  };
}

async function sizeOf(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const sizes = entries
    .filter((entry) => entry.isFile())
    .map((entry) =>
      stat(path.join(entry.parentPath, entry.name)).then(
        ({ size }) => size,
        () => 0,
      ),
    );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/** The npm that started this program, if one did; other package managers set the same variable. */
function npmCommand(): [string, string[]] {
  const cli = process.env['npm_execpath'];
  return cli?.endsWith('npm-cli.js') ? [process.execPath, [cli]] : ['npm', []];
}

function failure(packages: readonly PinnedPackage[], reason: string): AutoglmError {
  const names = packages.map(describe).join(' ');
  return new AutoglmError(
    'engine_failed',
    `npm could not fetch ${names}: ${reason.trim().split('\n').slice(0, 4).join(' ')}. Check that this machine reaches a package registry (npm ping), then try again.`,
  );
}

function describe({ name, version }: PinnedPackage): string {
  return `${name}@${version}`;
}
