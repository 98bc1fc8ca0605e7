import { AutoglmError } from '@open-autoglm/protocol';
import { caughtUp } from '../../common/caught-up.ts';
import type { Access } from '../access.ts';
import type { Generations } from '../generations.ts';
import type { Resource, ResourceCall } from '../resource.ts';
import { sendJson } from '../send-json.ts';
import { admitCaller } from './admit-caller.ts';
import { invalid, readPageQuery, toPage } from './cursor-page.ts';
import { isFullOfFiles, roomIn, type KeepBounds } from './store/file-room.ts';
import type { FileStore, StoredFile } from './store/file-store.ts';
import type { UploadedFile } from './upload.ts';

export interface FileBounds extends KeepBounds {
  readonly fileBytesMax: number;
  readonly ttlMs: number;
}

export interface FileParts {
  /** Rejects with `engine_unavailable` where the database cannot be reached. */
  readonly files: () => Promise<FileStore>;
  readonly access: Access;
  readonly generations: Generations;
  readonly bounds: FileBounds;
  readonly now: () => number;
  readonly newId: () => string;
}

/** As OpenAI bounds `expires_after`. */
const expirySeconds = { min: 3600, max: 2_592_000 } as const;
const filenameMax = 512;
const uploadFields: ReadonlySet<string> = new Set(['purpose', 'expires_after[anchor]', 'expires_after[seconds]']);

/**
 *   POST   /v1/files               multipart: file, purpose=batch   → the file
 *   GET    /v1/files               ?purpose, limit, after, order    → a page of them
 *   GET    /v1/files/{id}          → the file
 *   DELETE /v1/files/{id}
 *   GET    /v1/files/{id}/content  → its bytes
 */
export class FileRoutes {
  readonly #parts: FileParts;

  constructor(parts: FileParts) {
    this.#parts = parts;
  }

  find(path: string): Resource | undefined {
    const [isFile, id, content] = /^\/v1\/files(?:\/([\w-]{1,64})(\/content)?)?$/.exec(path) ?? [];
    if (isFile === undefined) return undefined;
    if (content) return { methods: ['GET'], serve: (call) => this.#content(call, id as string) };
    if (id !== undefined)
      return {
        methods: ['GET', 'DELETE'],
        serve: (call) => (call.message.method === 'GET' ? this.#read(call, id) : this.#delete(call, id)),
      };
    return { methods: ['POST', 'GET'], serve: (call) => (call.message.method === 'GET' ? this.#list(call) : this.#create(call)) };
  }

  async #create({ message, response }: ResourceCall): Promise<void> {
    const { generations, bounds, newId, now } = this.#parts;
    const { tenant } = await admitCaller(this.#parts, message, response);
    const { signal } = generations.take(response).abort;
    const files = await this.#parts.files();
    const id = newId();
    // Only what is taken has its bytes kept, so there is room for them first.
    const room = await this.#room(files, tenant);
    const keep = async ({ filename, bytes }: UploadedFile) => {
      const writer = await files.begin({
        id,
        tenant,
        purpose: 'batch',
        filename: filename.slice(0, filenameMax),
        expires_at_ms: now() + bounds.ttlMs,
      });
      try {
        for await (const chunk of bytes) {
          if (writer.size + chunk.length > room) throw noRoom('bytes');
          await writer.write(chunk);
        }
        return writer;
      } catch (error) {
        await writer.discard();
        throw error;
      }
    };
    const { readUpload } = await import('./upload.ts');
    const { fields, file: writer } = await readUpload(message, bounds.fileBytesMax, signal, keep);
    try {
      const expiresAtMs = writer.createdAtMs + this.#lifetimeMs(fields);
      signal.throwIfAborted();
      // Others may have taken the room meanwhile.
      const tooMany = await files.keep(writer, tenant, { expires_at_ms: expiresAtMs }, bounds);
      if (tooMany) throw noRoom(tooMany);
    } catch (error) {
      await writer.discard();
      throw error;
    }
    sendJson(response, 200, describe((await files.find(tenant, id)) as StoredFile));
  }

  /** Bytes that may still come. Throws `storage_limit_exceeded`. */
  async #room(files: FileStore, tenant: string): Promise<number> {
    const { bounds } = this.#parts;
    const used = await files.usage(tenant);
    if (isFullOfFiles(used, bounds)) throw noRoom('files');
    const room = roomIn(used, bounds);
    if (room <= 0) throw noRoom('bytes');
    return room;
  }

  #lifetimeMs(fields: Readonly<Record<string, string>>): number {
    const unknown = Object.keys(fields).find((name) => !uploadFields.has(name));
    if (unknown !== undefined) throw new AutoglmError('unknown_parameter', `Unknown parameter: '${unknown}'.`, { param: unknown });
    const { purpose, 'expires_after[anchor]': anchor, 'expires_after[seconds]': seconds } = fields;
    if (purpose === undefined) throw new AutoglmError('missing_parameter', "Missing required parameter: 'purpose'.", { param: 'purpose' });
    if (purpose !== 'batch') throw invalid('purpose', 'this server keeps files for "batch" only');
    if (seconds === undefined && anchor === undefined) return this.#parts.bounds.ttlMs;
    if (anchor !== 'created_at') throw invalid('expires_after[anchor]', 'must be "created_at"');
    const value = /^\d{1,9}$/.test(seconds ?? '') ? Number(seconds) : Number.NaN;
    if (!(value >= expirySeconds.min && value <= expirySeconds.max))
      throw invalid('expires_after[seconds]', `must be an integer from ${expirySeconds.min} to ${expirySeconds.max}`);
    return value * 1000;
  }

  async #list({ message, response }: ResourceCall): Promise<void> {
    const { tenant } = await admitCaller(this.#parts, message, response);
    const { limit, ...query } = readPageQuery(message.url, {
      known: ['limit', 'after', 'order', 'purpose'],
      limit: 10_000,
      limitMax: 10_000,
    });
    const found = await (await this.#parts.files()).list({ tenant, ...query, limit: limit + 1 });
    sendJson(response, 200, toPage(found.map(describe), limit));
  }

  async #read({ message, response }: ResourceCall, id: string): Promise<void> {
    const { tenant } = await admitCaller(this.#parts, message, response);
    sendJson(response, 200, describe(await findFile(await this.#parts.files(), tenant, id)));
  }

  async #delete({ message, response }: ResourceCall, id: string): Promise<void> {
    const { tenant } = await admitCaller(this.#parts, message, response);
    if (!(await (await this.#parts.files()).delete(tenant, id))) throw noFile(id);
    sendJson(response, 200, { id, object: 'file', deleted: true });
  }

  async #content({ message, response }: ResourceCall, id: string): Promise<void> {
    const { generations } = this.#parts;
    const { tenant } = await admitCaller(this.#parts, message, response);
    const { signal } = generations.take(response).abort;
    const files = await this.#parts.files();
    const file = await findFile(files, tenant, id);
    response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': file.size_bytes, 'cache-control': 'no-store' });
    for await (const bytes of files.read(file)) {
      signal.throwIfAborted();
      if (!response.write(bytes)) await caughtUp(response, signal);
    }
    response.end();
  }
}

/** Throws `file_not_found`: whether it never was, is gone or is somebody else's is not told. */
export async function findFile(files: FileStore, tenant: string, id: string, param?: string): Promise<StoredFile> {
  const file = await files.find(tenant, id);
  if (!file) throw noFile(id, param);
  return file;
}

function noFile(id: string, param?: string): AutoglmError {
  return new AutoglmError('file_not_found', `There is no file ${JSON.stringify(id)}.`, { param });
}

function noRoom(what: 'files' | 'bytes'): AutoglmError {
  const message =
    what === 'files'
      ? 'There are as many files as this server keeps for one tenant (batches.tenant_files_max) or one key (batches.key_files_max)'
      : 'There is no room for this file (batches.tenant_bytes_max, batches.key_bytes_max, batches.bytes_max)';
  return new AutoglmError('storage_limit_exceeded', `${message}: delete those that are not needed any more.`, { param: 'file' });
}

function describe({ id, size_bytes: bytes, created_at_ms: createdAtMs, expires_at_ms: expiresAtMs, filename, purpose }: StoredFile) {
  return {
    id,
    object: 'file',
    bytes,
    created_at: toSeconds(createdAtMs),
    filename,
    purpose,
    status: 'processed',
    ...(expiresAtMs !== null && { expires_at: toSeconds(expiresAtMs) }),
  };
}

export function toSeconds(milliseconds: number): number {
  return Math.floor(milliseconds / 1000);
}
