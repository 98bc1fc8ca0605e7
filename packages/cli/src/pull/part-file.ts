import { createHash, type Hash } from 'node:crypto';
import { open, readFile, rename, rm, writeFile, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { makeFolder } from '@open-autoglm/engine/make-folder';

/** What the bytes so far are the beginning of. */
export interface PartIdentity {
  readonly bytes: number;
  readonly sha256: string | undefined;
}

interface PartNote extends PartIdentity {
  readonly etag: string | undefined;
}

/** A download on its way: `FILE.part`, and beside it a note of what it will be, so that a later process can go on. */
export class PartFile {
  readonly #file: string;
  readonly #identity: PartIdentity;
  readonly #handle: FileHandle;
  #hash: Hash = createHash('sha256');
  #offset = 0;
  #etag: string | undefined;

  private constructor(file: string, identity: PartIdentity, handle: FileHandle) {
    this.#file = file;
    this.#identity = identity;
    this.#handle = handle;
  }

  /** Opens the part of an earlier try where it belongs to the same file, or a new one. */
  static async open(file: string, identity: PartIdentity): Promise<PartFile> {
    await makeFolder(path.dirname(file));
    const note = await readNote(file);
    const isSame = note?.bytes === identity.bytes && note.sha256 === identity.sha256;
    const part = new PartFile(file, identity, await open(partOf(file), isSame ? 'r+' : 'w').catch(() => open(partOf(file), 'w')));
    if (isSame) await part.#takeUp(note.etag);
    return part;
  }

  /** Bytes that are there. */
  get offset(): number {
    return this.#offset;
  }

  /** Of the version that the bytes are of; undefined while that is not known. */
  get etag(): string | undefined {
    return this.#etag;
  }

  /** Begins anew, with this version. */
  async restart(etag: string | undefined): Promise<void> {
    await this.#handle.truncate(0);
    this.#hash = createHash('sha256');
    this.#offset = 0;
    this.#etag = etag;
    const note: PartNote = { ...this.#identity, etag };
    await writeFile(noteOf(this.#file), JSON.stringify(note));
  }

  async append(bytes: Uint8Array): Promise<void> {
    for (let written = 0; written < bytes.length;) {
      const { bytesWritten } = await this.#handle.write(bytes, written, bytes.length - written, this.#offset + written);
      written += bytesWritten;
    }
    this.#hash.update(bytes);
    this.#offset += bytes.length;
  }

  /** In hexadecimal, of the bytes so far. */
  digest(): string {
    return this.#hash.copy().digest('hex');
  }

  /** Gives the whole file its name. */
  async finish(): Promise<void> {
    await this.#handle.sync();
    await this.#handle.close();
    await rename(partOf(this.#file), this.#file);
    await rm(noteOf(this.#file), { force: true });
  }

  /** Keeps the part for a later try. */
  async close(): Promise<void> {
    await this.#handle.close();
  }

  async discard(): Promise<void> {
    await this.#handle.close();
    await rm(partOf(this.#file), { force: true });
    await rm(noteOf(this.#file), { force: true });
  }

  /** Reads what is there, for the checksum of the whole. */
  async #takeUp(etag: string | undefined): Promise<void> {
    this.#etag = etag;
    const piece = Buffer.allocUnsafe(1 << 20);
    for (;;) {
      const { bytesRead } = await this.#handle.read(piece, 0, piece.length, this.#offset);
      if (bytesRead === 0) break;
      this.#hash.update(piece.subarray(0, bytesRead));
      this.#offset += bytesRead;
    }
    if (this.#offset > this.#identity.bytes) await this.restart(undefined);
  }
}

async function readNote(file: string): Promise<PartNote | undefined> {
  return readFile(noteOf(file), 'utf8')
    .then((text) => JSON.parse(text) as PartNote)
    .catch(() => undefined);
}

function partOf(file: string): string {
  return `${file}.part`;
}

function noteOf(file: string): string {
  return `${file}.part.json`;
}
