import { mkdir, readdir, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export type Release = () => Promise<void>;
export type LockResult = { readonly taken: true; readonly release: Release } | { readonly taken: false; readonly owner: number };

/** Each round fails only because another process has just won or let go. */
const roundsMax = 100;
/** Locks that this process has. A lock under its id that is not among them is of a dead process with the same id. */
const held = new Set<string>();
let prepared = 0;

/**
 * Takes a lock between processes of this machine, or says which process has it; a dead owner's is taken over. The lock is
 * a folder that holds one file named by its owner's process id: both taking a free lock and taking over are one rename,
 * which only one process can win.
 */
export async function takeLock(lock: string): Promise<LockResult> {
  if (held.has(lock)) return { taken: false, owner: process.pid };
  held.add(lock);
  try {
    const owner = await contend(lock, String(process.pid));
    if (owner === process.pid) return { taken: true, release: () => release(lock) };
    held.delete(lock);
    return { taken: false, owner };
  } catch (error) {
    held.delete(lock);
    throw error;
  }
}

async function release(lock: string): Promise<void> {
  await rm(path.join(lock, String(process.pid)), { force: true });
  await rmdir(lock).catch(() => {});
  held.delete(lock);
}

/** The process that has the lock in the end. */
async function contend(lock: string, own: string): Promise<number> {
  const folder = `${lock}.${own}.${prepared++}`;
  await mkdir(folder, { recursive: true });
  try {
    await writeFile(path.join(folder, own), '');
    for (let round = 0; round < roundsMax; round += 1) {
      if (await succeeds(rename(folder, lock))) return Number(own);
      const owner = (await readdir(lock).catch(() => []))[0];
      if (owner === own) return Number(own);
      if (owner !== undefined && isAlive(Number(owner))) return Number(owner);
      if (owner !== undefined && (await succeeds(rename(path.join(lock, owner), path.join(lock, own))))) return Number(own);
    }
    throw new Error(`The lock ${lock} cannot be taken: if no other autoglm runs, delete it.`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Whether a process of this machine has this id. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function succeeds(action: Promise<void>): Promise<boolean> {
  return action.then(() => true, () => false);
}

const waitPollMs = 200;
const waitMaxMs = 3_600_000;

export interface WaitOptions {
  /** Called once when another process has it. */
  readonly onWait?: ((owner: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Takes the lock as soon as it is free. Throws after an hour, or the signal's reason. */
export async function waitForLock(lock: string, { onWait, signal }: WaitOptions = {}): Promise<Release> {
  for (let waitedMs = 0; waitedMs <= waitMaxMs; waitedMs += waitPollMs) {
    signal?.throwIfAborted();
    const result = await takeLock(lock);
    if (result.taken) return result.release;
    if (waitedMs === 0) onWait?.(result.owner);
    // The timer rejects with an error of its own; what its reader wants is why.
    await sleep(waitPollMs, undefined, { signal }).catch((error: unknown) => {
      signal?.throwIfAborted();
      throw error;
    });
  }
  throw new Error(`The lock ${lock} was not let go within an hour: if no other autoglm runs, delete it.`);
}
