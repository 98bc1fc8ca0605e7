// Installs the dependencies when what the lockfile names is not what stands in node_modules.
// Runs on any Node from 18 on, without dependencies: it is what brings the dependencies and the pinned Node.
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const LOCK_WAIT_SECONDS_MAX = 900;
const LOCK_POLL_MS = 200;

/**
 * Makes node_modules hold what package-lock.json names. Costs a few milliseconds when it does already.
 * @param {string} root the repository's top folder
 * @param {{ dev: boolean }} need whether development dependencies are needed too
 */
export async function ensureInstalled(root, need) {
  if (isInstalled(root, need)) return;
  const release = await takeInstallLock(root);
  try {
    if (isInstalled(root, need)) return; // another process did it while this one waited
    await npmCi(root, need);
  } finally {
    release();
  }
}

/** npm writes node_modules/.package-lock.json last: it is absent or different after anything half done. */
export function isInstalled(root, { dev }) {
  const wanted = readPackages(join(root, 'package-lock.json'));
  const present = readPackages(join(root, 'node_modules', '.package-lock.json'));
  if (!wanted) throw new Error('package-lock.json is missing or damaged: restore it, for example with git checkout package-lock.json');
  if (!present) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    if (!path.includes('node_modules/')) return true; // the workspaces themselves
    const found = present[path];
    if (!found) return entry.optional || entry.devOptional || entry.peer || (entry.dev && !dev);
    return found.version === entry.version && found.integrity === entry.integrity && found.resolved === entry.resolved;
  });
}

function readPackages(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages;
  } catch {
    return undefined;
  }
}

async function npmCi(root, { dev }) {
  say('installing dependencies (npm ci); this is needed once');
  const startMs = Date.now();
  const args = ['ci', '--loglevel=error', ...(dev ? ['--include=dev'] : [])];
  // npm tells its scripts where it is, so that the npm in use is found on every platform.
  const npmCli = process.env.npm_execpath;
  const [command, prefix] = npmCli ? [process.execPath, [npmCli]] : ['npm', []];
  const child = spawn(command, [...prefix, ...args], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: !npmCli && process.platform === 'win32',
  });
  const outcome = await new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(signal ?? code));
  });
  if (outcome !== 0) {
    throw new Error(
      `npm ci failed (${outcome}); npm says why above.\n` +
        'Check that this machine reaches a package registry (npm ping) and has disk space, then run the command again.',
    );
  }
  say(`installed in ${((Date.now() - startMs) / 1000).toFixed(1)} s`);
}

/**
 * One install at a time for this tree. The lock is a folder that holds one file named by its owner's process id:
 * both taking a free lock and taking over a dead owner's are one rename, which only one process can win.
 */
async function takeInstallLock(root) {
  const cache = join(root, '.cache');
  const lock = join(cache, 'install.lock');
  const own = String(process.pid);
  const prepared = join(cache, `install.lock.${own}`);
  mkdirSync(prepared, { recursive: true });
  writeFileSync(join(prepared, own), '');
  const release = () => {
    rmSync(join(lock, own), { force: true });
    succeeds(() => rmdirSync(lock));
  };

  for (let waitedMs = 0; waitedMs < LOCK_WAIT_SECONDS_MAX * 1000; waitedMs += LOCK_POLL_MS) {
    if (succeeds(() => renameSync(prepared, lock))) return release;
    const owner = lockOwner(lock);
    if (owner && !isAlive(owner) && succeeds(() => renameSync(join(lock, owner), join(lock, own)))) {
      rmSync(prepared, { recursive: true, force: true });
      return release;
    }
    if (waitedMs === 0) say('another process is installing dependencies: waiting for it');
    await sleep(LOCK_POLL_MS);
  }
  rmSync(prepared, { recursive: true, force: true });
  throw new Error(`waited ${LOCK_WAIT_SECONDS_MAX} s for another install to end; if none is running, delete ${lock}`);
}

function lockOwner(lock) {
  try {
    return readdirSync(lock)[0];
  } catch {
    return undefined;
  }
}

function isAlive(pid) {
  try {
    process.kill(Number(pid), 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function succeeds(action) {
  try {
    action();
    return true;
  } catch {
    return false;
  }
}

function say(text) {
  process.stderr.write(`open-autoglm: ${text}\n`);
}
