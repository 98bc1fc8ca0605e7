import { rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { defaultHome } from '@open-autoglm/engine';
import { formatBytes } from '@open-autoglm/engine/bytes';
import {
  checkDiskSpace,
  findNamedModel,
  namedModels,
  parseReference,
  problemWithGguf,
  pulledPath,
  readPulled,
  recordPulled,
  referenceTo,
  removeLeftovers,
  takeLock,
  type NamedModel,
  type Repository,
} from '@open-autoglm/engine/cache';
import { isFileSystemError } from '@open-autoglm/engine/file-system-error';
import { UserError } from '../failure.ts';
import { createProgressBar, type ProgressBar } from '../terminal/progress-bar.ts';
import { chooseFile } from './choose-file.ts';
import { download } from './download.ts';
import { TransientError } from './http.ts';
import type { Hub, HubFile } from './hub.ts';
import { huggingFace } from './hugging-face.ts';
import { modelScope } from './model-scope.ts';
import { defaultRetryPolicy, retryDelay } from './retry.ts';
import { describeTransfer } from './transfer.ts';
import { makeFolder } from '@open-autoglm/engine/make-folder';

const timeoutMs = 30_000;

/** Fetches a model into the cache folder, by its reference to a hub or its name. Prints the name that serves it. */
export async function pull(reference: string): Promise<void> {
  const controller = new AbortController();
  const interrupt = () => controller.abort(new UserError('stopped. The same command goes on from here.'));
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  const bar = createProgressBar(process.stderr);
  try {
    const named = findNamedModel(reference);
    const name = named ? await prepare(named, bar, controller.signal) : await pullFromHub(reference, bar, controller.signal);
    bar.clear();
    process.stdout.write(`${name}\n`);
  } catch (error) {
    throw isFileSystemError(error)
      ? new UserError(`The model cannot be written: ${error.message}. AUTOGLM_HOME names another folder.`)
      : error;
  } finally {
    bar.clear();
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  }
}

async function prepare(model: NamedModel, bar: ProgressBar, signal: AbortSignal): Promise<string> {
  const home = defaultHome();
  await removeLeftovers(home);
  await model.prepare({ home, signal, onProgress: ({ phase, fraction }) => bar.report(fraction, phase) });
  return model.name;
}

async function pullFromHub(reference: string, bar: ProgressBar, signal: AbortSignal): Promise<string> {
  const wanted = parseReference(reference);
  if (!wanted)
    throw new UserError(
      `${reference} is not a model to pull. Write hf:OWNER/NAME, hf:OWNER/NAME:FILE.gguf, ms:OWNER/NAME, or a name: ${namedModels.map(({ name }) => name).join(', ')}.`,
    );
  const { repository } = wanted;
  const hub = (repository.hub === 'hf' ? huggingFace : modelScope)(process.env, timeoutMs);
  const files = await askAgain(
    () => hub.files(repository, signal),
    repository.hub === 'hf' ? 'HF_ENDPOINT' : 'MODELSCOPE_ENDPOINT',
    signal,
  );
  const file = chooseFile(files, wanted.file, `${repository.hub}:${repository.owner}/${repository.name}`);
  await pullFile({ hub, repository, file, bar, signal });
  return referenceTo(repository, file.path);
}

interface PullFile {
  readonly hub: Hub;
  readonly repository: Repository;
  readonly file: HubFile;
  readonly bar: ProgressBar;
  readonly signal: AbortSignal;
}

async function pullFile({ hub, repository, file, bar, signal }: PullFile): Promise<void> {
  const target = pulledPath(defaultHome(), repository, file.path);
  const name = referenceTo(repository, file.path);
  const folder = path.dirname(target);
  await makeFolder(folder);
  const lock = await takeLock(`${target}.lock`);
  if (!lock.taken) throw new UserError(`The process ${lock.owner} is pulling ${name} already.`);
  try {
    const record = await readPulled(target);
    if (record && record.bytes === file.bytes && (file.sha256 === undefined || record.sha256 === file.sha256)) {
      process.stderr.write(`${name} is here already, and the hub has no other version\n`);
      return;
    }
    const { size: already } = await stat(`${target}.part`).catch(() => ({ size: 0 }));
    await checkDiskSpace(folder, Math.max(0, file.bytes - already), name);
    const progress = describeTransfer(file.bytes, () => performance.now());
    const sha256 = await download({
      http: hub.http,
      url: hub.urlOf(repository, file.path),
      file: target,
      expected: { bytes: file.bytes, sha256: file.sha256 },
      retry: defaultRetryPolicy,
      random: Math.random,
      signal,
      onProgress(bytes) {
        const text = progress(bytes);
        if (text) bar.report(bytes / file.bytes, text);
      },
      onRetry(reason, delayMs) {
        bar.clear();
        process.stderr.write(`${reason}; trying again in ${(delayMs / 1000).toFixed(1)} s\n`);
      },
    });
    const problem = await problemWithGguf(target);
    if (problem) {
      await rm(target);
      throw new UserError(`What ${hub.title} has as ${name} cannot be used: ${problem}.`);
    }
    await recordPulled(target, { name, bytes: file.bytes, sha256, pulledAt: new Date().toISOString() });
    bar.clear();
    if (file.sha256 === undefined) process.stderr.write('the hub gives no SHA-256 for this file: only its length was checked\n');
    process.stderr.write(`pulled ${formatBytes(file.bytes)}\n`);
  } finally {
    await lock.release();
  }
}

const listTriesMax = 4;

/** Asks for the list of files as patiently as for a file. */
async function askAgain<T>(ask: () => Promise<T>, variable: string, signal: AbortSignal): Promise<T> {
  for (let failure = 1; ; failure += 1) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof TransientError)) throw error;
      if (failure === listTriesMax)
        throw new UserError(`${error.message}. Check that this machine reaches it; ${variable} names a mirror.`);
      await sleep(retryDelay(defaultRetryPolicy, failure, error.retryAfterMs, Math.random), undefined, { signal }).catch(() => {
        throw signal.reason;
      });
    }
  }
}
