import { readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { createRequire, stripTypeScriptTypes } from 'node:module';
import path from 'node:path';

export interface ConsoleFile {
  send(response: ServerResponse): void;
}

export interface Console {
  /** The file at a URL path, when the console has one. */
  find(urlPath: string): ConsoleFile | undefined;
}

interface Manifest {
  readonly folder: string;
  /** URL path → file in the folder. */
  readonly files: Readonly<Record<string, string>>;
}

const contentTypes: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.ts': 'text/javascript; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** Everything from here, nothing inline: text that a model wrote cannot become a script. */
const securityHeaders = {
  'content-security-policy': "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-cache',
};

/**
 * The web console's files, as its manifest maps URLs to them; nothing else can be asked for. They are read when first
 * asked for, and TypeScript loses its types then, so the console needs no build.
 */
export function createConsole(): Console {
  let manifest: Manifest | undefined;
  const cache = new Map<string, Buffer>();
  const open = () => (manifest ??= readManifest());
  return {
    find(urlPath) {
      const { folder, files } = open();
      const name = Object.hasOwn(files, urlPath) ? files[urlPath] : undefined;
      if (!name) return undefined;
      const contents = cache.get(urlPath) ?? read(path.join(folder, name));
      cache.set(urlPath, contents);
      return { send: (response) => send(response, contents, contentTypes[path.extname(name)] ?? 'application/octet-stream') };
    },
  };
}

/** A gateway that is installed without the console has no files to serve. */
function readManifest(): Manifest {
  let file: string;
  try {
    file = createRequire(import.meta.url).resolve('@open-autoglm/console/manifest.json');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') return { folder: '', files: {} };
    throw error;
  }
  return { folder: path.dirname(file), files: JSON.parse(readFileSync(file, 'utf8')) as Record<string, string> };
}

function read(file: string): Buffer {
  const contents = readFileSync(file);
  return file.endsWith('.ts') ? Buffer.from(stripTypes(contents.toString('utf8'))) : contents;
}

/**
 * Node warns once that this function may change; a server's log is no place for it. The call is synchronous, so nothing else is silenced.
 */
function stripTypes(source: string): string {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return stripTypeScriptTypes(source);
  } finally {
    process.emitWarning = emitWarning;
  }
}

function send(response: ServerResponse, contents: Buffer, contentType: string): void {
  response.writeHead(200, { ...securityHeaders, 'content-type': contentType, 'content-length': contents.length });
  response.end(contents);
}
