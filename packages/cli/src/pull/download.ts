import { setTimeout as sleep } from 'node:timers/promises';
import { UserError } from '../failure.ts';
import { explainNetwork, TransientError, type HttpClient } from './http.ts';
import { PartFile, type PartIdentity } from './part-file.ts';
import { retryDelay, type RetryPolicy } from './retry.ts';

export interface DownloadOptions {
  readonly http: HttpClient;
  readonly url: URL;
  /** Where the file goes. `FILE.part` is its beginning until it is whole. */
  readonly file: string;
  readonly expected: PartIdentity;
  readonly retry: RetryPolicy;
  readonly random: () => number;
  readonly signal: AbortSignal;
  readonly onProgress?: (bytes: number) => void;
  /** Told of a failure that is tried again. */
  readonly onRetry?: (reason: string, delayMs: number) => void;
}

/**
 * Fetches a file, going on where an earlier try ended (RFC 9110, section 14: Range, If-Range), and gives it its name when it
 * has the length and the SHA-256 that it must have. Returns the SHA-256. Throws `UserError`, keeping the part for a later
 * try, except when it is damaged; or the signal's reason.
 */
export async function download(options: DownloadOptions): Promise<string> {
  const part = await PartFile.open(options.file, options.expected);
  let isOpen = true;
  try {
    await fetchAll(part, options);
    const digest = part.digest();
    isOpen = false;
    if (options.expected.sha256 !== undefined && digest !== options.expected.sha256) {
      await part.discard();
      throw new UserError(
        `What came from ${options.url.host} is damaged: its SHA-256 is ${digest}, not ${options.expected.sha256}. It was deleted: pull it again.`,
      );
    }
    await part.finish();
    return digest;
  } finally {
    if (isOpen) await part.close();
  }
}

async function fetchAll(part: PartFile, options: DownloadOptions): Promise<void> {
  const { retry, expected, signal } = options;
  let inARow = 0;
  for (let failures = 0; part.offset < expected.bytes;) {
    const before = part.offset;
    try {
      await fetchRest(part, options);
    } catch (error) {
      if (!(error instanceof TransientError)) throw error;
      failures += 1;
      inARow = part.offset > before ? 1 : inARow + 1;
      if (inARow >= retry.triesMax || failures >= retry.failuresMax)
        throw new UserError(
          `${error.message}, and trying again did not help: ${part.offset} of ${expected.bytes} bytes are there. The same command goes on from here.`,
        );
      const delayMs = retryDelay(retry, inARow, error.retryAfterMs, options.random);
      options.onRetry?.(error.message, delayMs);
      await sleep(delayMs, undefined, { signal }).catch(() => {
        throw signal.reason;
      });
    }
  }
}

/** One request for what is missing. Throws `TransientError` when it ends before. */
async function fetchRest(part: PartFile, { http, url, expected, signal, onProgress }: DownloadOptions): Promise<void> {
  const wantsRest = part.offset > 0 && (part.etag ?? expected.sha256) !== undefined;
  // Without a validator, the checksum of the whole finds out whether the rest was of another version.
  const headers: Record<string, string> = wantsRest
    ? { range: `bytes=${part.offset}-`, ...(part.etag !== undefined && { 'if-range': part.etag }) }
    : {};
  const stop = new AbortController();
  const response = await http.get(url, headers, AbortSignal.any([signal, stop.signal]));
  try {
    await placeAnswer(part, response, expected);
    await readBody(part, response, { http, url, expected, signal, stop, onProgress });
  } finally {
    stop.abort();
  }
}

/** Finds out which bytes of the file the answer brings, and makes the part end where they begin. */
async function placeAnswer(part: PartFile, response: Response, expected: PartIdentity): Promise<void> {
  if (response.status === 416) {
    await part.restart(undefined);
    throw new TransientError('the server does not have the rest of the file');
  }
  if (response.status === 206) return checkRange(response.headers.get('content-range'), part.offset, expected.bytes);
  const length = response.headers.get('content-length');
  if (length !== null && Number(length) !== expected.bytes)
    throw new UserError(
      `The hub says that the file has ${expected.bytes} bytes, but ${length} are served: it may just have been replaced. Pull it again.`,
    );
  // A server that ignores ranges sends all of it, and so does one whose file is another version by now.
  await part.restart(strong(response.headers.get('etag')));
}

function checkRange(range: string | null, offset: number, bytes: number): void {
  const [, from, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(range ?? '') ?? [];
  if (Number(from) === offset && (total === '*' || Number(total) === bytes)) return;
  throw new TransientError(`the server sent another part (${range ?? 'no content-range'}) than was asked for`);
}

/** Only a strong validator tells that bytes are the same. */
function strong(etag: string | null): string | undefined {
  return etag?.startsWith('"') ? etag : undefined;
}

interface BodyOptions extends Pick<DownloadOptions, 'http' | 'url' | 'expected' | 'signal'> {
  readonly onProgress: DownloadOptions['onProgress'] | undefined;
  readonly stop: AbortController;
}

async function readBody(part: PartFile, response: Response, { http, url, expected, signal, stop, onProgress }: BodyOptions): Promise<void> {
  const stalled = new TransientError(`nothing came from ${url.host} for ${http.timeoutMs / 1000} s`);
  const arm = () => setTimeout(() => stop.abort(stalled), http.timeoutMs);
  let timer = arm();
  try {
    for await (const piece of response.body ?? []) {
      clearTimeout(timer);
      if (part.offset + piece.length > expected.bytes) throw tooLong(part, expected, url);
      await part.append(piece);
      onProgress?.(part.offset);
      timer = arm();
    }
  } catch (error) {
    if (error instanceof UserError || isFileError(error)) throw error;
    throw stop.signal.aborted ? stalled : explainNetwork(error, url, signal);
  } finally {
    clearTimeout(timer);
  }
  if (part.offset < expected.bytes) throw new TransientError(`the connection to ${url.host} ended early`);
}

function tooLong(part: PartFile, expected: PartIdentity, url: URL): UserError {
  return new UserError(
    `${url.host} sends more than the ${expected.bytes} bytes that the file must have, of which ${part.offset} are here: nothing more was taken.`,
  );
}

function isFileError(error: unknown): boolean {
  return error instanceof Error && ['ENOSPC', 'EIO', 'EDQUOT', 'EFBIG'].includes((error as NodeJS.ErrnoException).code ?? '');
}
