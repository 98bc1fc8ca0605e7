import type { Repository } from '@open-autoglm/engine/cache';
import type { HttpClient } from './http.ts';

/** A file of a repository, as the hub lists it. */
export interface HubFile {
  readonly path: string;
  readonly bytes: number;
  /** In hexadecimal; undefined where the hub does not say. */
  readonly sha256: string | undefined;
}

/** Where models come from. */
export interface Hub {
  /** For people. */
  readonly title: string;
  readonly http: HttpClient;
  /** All files. Throws `UserError` with what to do. */
  files(repository: Repository, signal: AbortSignal): Promise<HubFile[]>;
  urlOf(repository: Repository, file: string): URL;
}

/** A base address from the environment. Throws what names the variable when it is none. */
export function baseUrl(text: string | undefined, variable: string, fallback: string, refuse: (message: string) => Error): URL {
  const value = text || fallback;
  if (!URL.canParse(value) || !/^https?:$/.test(new URL(value).protocol))
    throw refuse(`${variable} must be a URL such as ${fallback}, not ${JSON.stringify(value)}.`);
  const url = new URL(value.endsWith('/') ? value : `${value}/`);
  if (url.username !== '' || url.password !== '') throw refuse(`${variable} must hold no name and no password.`);
  return url;
}
