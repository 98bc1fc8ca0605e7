import { isFilePath, type Repository } from '@open-autoglm/engine/cache';
import { readApiKey } from '../api-key.ts';
import { UserError } from '../failure.ts';
import { createHttpClient, type HttpClient } from './http.ts';
import { baseUrl, type Hub, type HubFile } from './hub.ts';

interface TreeEntry {
  readonly type?: unknown;
  readonly path?: unknown;
  readonly size?: unknown;
  readonly lfs?: { readonly oid?: unknown; readonly size?: unknown };
}

const pagesMax = 50;

/** Hugging Face, or what speaks its API at `HF_ENDPOINT`; `HF_TOKEN` opens gated repositories. */
export function huggingFace(env: NodeJS.ProcessEnv, timeoutMs: number): Hub {
  const base = baseUrl(env['HF_ENDPOINT'], 'HF_ENDPOINT', 'https://huggingface.co', (message) => new UserError(message));
  const token = readApiKey('HF_TOKEN', { HF_TOKEN: env['HF_TOKEN']?.trim() });
  const http = createHttpClient({ token, origin: base.origin, timeoutMs, explain: (status) => explain(status, base, token !== undefined) });
  return {
    title: base.host,
    http,
    urlOf: ({ owner, name }, file) => new URL(`${owner}/${name}/resolve/main/${file.split('/').map(encodeURIComponent).join('/')}`, base),
    files: (repository, signal) => listFiles(http, base, repository, signal),
  };
}

async function listFiles(http: HttpClient, base: URL, { owner, name }: Repository, signal: AbortSignal): Promise<HubFile[]> {
  const files: HubFile[] = [];
  let next: URL | undefined = new URL(`api/models/${owner}/${name}/tree/main?recursive=true`, base);
  for (let page = 0; next && page < pagesMax; page += 1) {
    const response: Response = await http.get(next, { accept: 'application/json' }, signal);
    const entries: unknown = await response.json().catch(() => undefined);
    if (!Array.isArray(entries)) throw new UserError(`${base.host} does not list files as Hugging Face does: check HF_ENDPOINT.`);
    files.push(...(entries as TreeEntry[]).flatMap(toFile));
    next = nextPage(response, next);
  }
  return files;
}

function toFile({ type, path, size, lfs }: TreeEntry): HubFile[] {
  const bytes = lfs?.size ?? size;
  if (type !== 'file' || typeof path !== 'string' || !isFilePath(path) || !Number.isSafeInteger(bytes)) return [];
  const sha256 = typeof lfs?.oid === 'string' && /^[0-9a-f]{64}$/.test(lfs.oid) ? lfs.oid : undefined;
  return [{ path, bytes: bytes as number, sha256 }];
}

/** Pages are linked as RFC 8288 says. One on another origin is not followed. */
function nextPage(response: Response, from: URL): URL | undefined {
  const [, link] = /<([^>]+)>;\s*rel="next"/.exec(response.headers.get('link') ?? '') ?? [];
  if (link === undefined || !URL.canParse(link, from.href)) return undefined;
  const next = new URL(link, from);
  return next.origin === from.origin ? next : undefined;
}

function explain(status: number, { host }: URL, hasToken: boolean): string | undefined {
  const repair = hasToken
    ? 'check that HF_TOKEN is right and that its owner was given access'
    : 'if it is private or gated, accept its terms there and set HF_TOKEN';
  switch (status) {
    // The hub does not tell strangers what exists.
    case 401:
      return `${host} does not let you read this repository, or there is no such repository: check the name; ${repair}.`;
    case 403:
      return `${host} does not let you read this repository: ${repair}.`;
    case 404:
      return `${host} has no such repository or file: check the name.`;
    default:
      return undefined;
  }
}
