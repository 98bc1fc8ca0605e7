import { readFileSync } from 'node:fs';
import { open, readdir, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { host } from './host.ts';
import { makeFolder } from './make-folder.ts';

export type Release = () => Promise<void>;
/** `owner`, for people: a process's id, and that it is another host's where it is. */
export type LockResult = { readonly taken: true; readonly release: Release } | { readonly taken: false; readonly owner: string };

/** Each round fails only because another process has just won or let go. */
const roundsMax = 100;
/** Whoever has a lock says so again and again, since another host cannot ask whether it lives. One that was silent for so long is gone. */
const signOfLifeMs = 10_000;
const silentMsMax = 120_000;
const ownerName = /^([0-9a-f]{8})-(\d+)(?:-(\d+))?$/;
/** Locks that this process has. A lock under its name that is not among them is of a dead process with the same id. */
const held = new Set<string>();
let prepared = 0;

/** How a process's name is written, on this host: with when it started, since ids come again, after a reboot nearly all of them. */
export function nameOf(pid: number): string {
  const start = startOf(pid);
  return start === undefined ? `${host}-${pid}` : `${host}-${pid}-${start}`;
}

/** In ticks since the machine's boot; undefined where the system does not tell it. */
function startOf(pid: number): string | undefined {
  try {
    // The name, in brackets, may hold spaces; the start is the 20th word behind it.
    return readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.split(' ')[19];
  } catch {
    return undefined;
  }
}

/**
 * Takes a lock between processes, or says which one has it; a dead owner's is taken over. Processes of several hosts may share the
 * folder, as containers do. The lock is a folder that holds one file named by its owner: both taking a free lock and taking over are
 * one rename, which only one process can win.
 */
export async function takeLock(lock: string): Promise<LockResult> {
  const own = nameOf(process.pid);
  if (held.has(lock)) return { taken: false, owner: describe(own) };
  held.add(lock);
  try {
    const owner = await contend(lock, own);
    if (owner === own) return { taken: true, release: beginHolding(lock, own) };
    held.delete(lock);
    return { taken: false, owner: describe(owner) };
  } catch (error) {
    held.delete(lock);
    throw error;
  }
}

function beginHolding(lock: string, own: string): Release {
  const file = path.join(lock, own);
  const timer = setInterval(() => void sayAlive(file), signOfLifeMs);
  timer.unref();
  return async () => {
    clearInterval(timer);
    await rm(file, { force: true });
    await rmdir(lock).catch(() => {});
    held.delete(lock);
  };
}

/** By the clock of whoever has the files, which all hosts that look at them have in common. */
async function sayAlive(file: string): Promise<void> {
  try {
    const handle = await open(file, 'r+');
    await handle.write('.', 0).finally(() => handle.close());
  } catch {
    // It was let go of, or lost to a host that heard nothing of this one for long.
  }
}

/** The name of the process that has the lock in the end. */
async function contend(lock: string, own: string): Promise<string> {
  const folder = `${lock}.${own}.${prepared++}`;
  await makeFolder(folder);
  try {
    await writeFile(path.join(folder, own), '.');
    const { mtimeMs: nowMs } = await stat(path.join(folder, own));
    for (let round = 0; round < roundsMax; round += 1) {
      if (await succeeds(rename(folder, lock))) return own;
      const owner = (await readdir(lock).catch(() => []))[0];
      if (owner === own) return own;
      if (owner !== undefined && (await holds(lock, owner, nowMs))) return owner;
      if (owner !== undefined && (await takeOver(lock, owner, own))) return own;
    }
    throw new Error(`The lock ${lock} cannot be taken: if no other autoglm runs, delete it.`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Its file is first made to look new: another host that waits for the same dead owner would take one that looks old away from whoever has
 * just won it.
 */
async function takeOver(lock: string, dead: string, own: string): Promise<boolean> {
  await sayAlive(path.join(lock, dead));
  return succeeds(rename(path.join(lock, dead), path.join(lock, own)));
}

/** Whether its owner lives. `nowMs`: by the clock of the files. */
async function holds(lock: string, owner: string, nowMs: number): Promise<boolean> {
  const [, itsHost, pid, start] = ownerName.exec(owner) ?? [];
  if (itsHost === host) return isAlive(Number(pid)) && (start === undefined || start === (startOf(Number(pid)) ?? start));
  const status = await stat(path.join(lock, owner)).catch(() => undefined);
  return status !== undefined && nowMs - status.mtimeMs < silentMsMax;
}

function describe(owner: string): string {
  const [, itsHost, pid = owner] = ownerName.exec(owner) ?? [];
  return itsHost === host ? pid : `${pid} of another host`;
}

/** Whether a process of this host has this id. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function succeeds(action: Promise<void>): Promise<boolean> {
  return action.then(
    () => true,
    () => false,
  );
}

const waitPollMs = 200;
const waitMaxMs = 3_600_000;

export interface WaitOptions {
  /** Called once when another process has it. */
  readonly onWait?: ((owner: string) => void) | undefined;
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
