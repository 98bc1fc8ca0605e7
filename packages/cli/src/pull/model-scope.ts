import { isFilePath, type Repository } from '@open-autoglm/engine/cache';
import { UserError } from '../failure.ts';
import { createHttpClient, type HttpClient } from './http.ts';
import { baseUrl, type Hub, type HubFile } from './hub.ts';

interface FileList {
  readonly Data?: { readonly Files?: unknown };
}

interface FileEntry {
  readonly Type?: unknown;
  readonly Path?: unknown;
  readonly Size?: unknown;
  readonly Sha256?: unknown;
}

/** ModelScope's public repositories, or what speaks its API at `MODELSCOPE_ENDPOINT`. */
export function modelScope(env: NodeJS.ProcessEnv, timeoutMs: number): Hub {
  const base = baseUrl(env['MODELSCOPE_ENDPOINT'], 'MODELSCOPE_ENDPOINT', 'https://www.modelscope.cn', (message) => new UserError(message));
  const http = createHttpClient({ origin: base.origin, timeoutMs, explain: (status) => explain(status, base) });
  return {
    title: base.host,
    http,
    urlOf: ({ owner, name }, file) =>
      new URL(`models/${owner}/${name}/resolve/master/${file.split('/').map(encodeURIComponent).join('/')}`, base),
    files: (repository, signal) => listFiles(http, base, repository, signal),
  };
}

async function listFiles(http: HttpClient, base: URL, { owner, name }: Repository, signal: AbortSignal): Promise<HubFile[]> {
  const response = await http.get(
    new URL(`api/v1/models/${owner}/${name}/repo/files?Revision=master&Recursive=true`, base),
    { accept: 'application/json' },
    signal,
  );
  const files = ((await response.json().catch(() => undefined)) as FileList | undefined)?.Data?.Files;
  if (!Array.isArray(files))
    throw new UserError(`${base.host} does not list files as ModelScope does: check the name and MODELSCOPE_ENDPOINT.`);
  return (files as FileEntry[]).flatMap(toFile);
}

function toFile({ Type, Path, Size, Sha256 }: FileEntry): HubFile[] {
  if (Type !== 'blob' || typeof Path !== 'string' || !isFilePath(Path) || !Number.isSafeInteger(Size)) return [];
  const sha256 = typeof Sha256 === 'string' && /^[0-9a-f]{64}$/.test(Sha256) ? Sha256 : undefined;
  return [{ path: Path, bytes: Size as number, sha256 }];
}

function explain(status: number, { host }: URL): string | undefined {
  switch (status) {
    case 401:
    case 403:
      return `${host} does not let you read this repository: only public ones can be pulled from there.`;
    case 404:
      return `${host} has no such repository or file: check the name.`;
    default:
      return undefined;
  }
}
