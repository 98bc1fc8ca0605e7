import { open, rm, type FileHandle } from 'node:fs/promises';
import { messageOf, UserError } from '../failure.ts';

export interface LineFileOptions {
  /** Bytes that wait for the disk at most; what comes beyond is lost and counted. */
  readonly waitingBytesMax: number;
  /** Called when lines begin to be lost, with the reason, and when they are written again. */
  readonly onTrouble: (trouble: string | undefined) => void;
}

/** Written together: a disk is asked seldom, and what fails is not much. */
const batchBytesMax = 1024 * 1024;

/**
 * A file of whole lines that never makes its writer wait. What a full or broken disk refuses is lost and counted, a line that was
 * written in part is taken back, and the next one is tried again.
 */
export class LineFile {
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #isRegular: boolean;
  readonly #options: LineFileOptions;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #pumping: Promise<void> | undefined;
  /** End of the last whole line. */
  #position = 0;
  #writtenCount = 0;
  #lostCount = 0;
  #isInTrouble = false;

  private constructor(path: string, handle: FileHandle, isRegular: boolean, options: LineFileOptions) {
    this.#path = path;
    this.#handle = handle;
    this.#isRegular = isRegular;
    this.#options = options;
  }

  /** Makes the file; a device or a pipe may be there already. Throws `UserError` when it cannot, or when there is a file. */
  static async open(path: string, options: LineFileOptions): Promise<LineFile> {
    try {
      return new LineFile(path, await open(path, 'wx'), true, options);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw new UserError(`${path} cannot be written: ${messageOf(error)}`);
    }
    const handle = await open(path, 'r+').catch((error: unknown) => {
      throw new UserError(`${path} cannot be written: ${messageOf(error)}`);
    });
    if ((await handle.stat()).isFile()) {
      await handle.close();
      throw new UserError(`There is a file ${path} already. Name another one with --out.`);
    }
    return new LineFile(path, handle, false, options);
  }

  get writtenCount(): number {
    return this.#writtenCount;
  }

  get lostCount(): number {
    return this.#lostCount;
  }

  /** `line` without its end. */
  write(line: string): void {
    const bytes = Buffer.from(`${line}\n`);
    if (this.#waitingBytes + bytes.length > this.#options.waitingBytesMax) return this.#lose(1, 'the disk is too slow');
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.#pumping ??= this.#pump();
  }

  /** Resolves when all that waited is written or lost. */
  async close(): Promise<void> {
    await this.#pumping;
    await this.#handle.close();
  }

  /** Leaves everything as it was before `open`: the same name can be given again. */
  async discard(): Promise<void> {
    await this.close();
    if (this.#isRegular) await rm(this.#path, { force: true });
  }

  async #pump(): Promise<void> {
    // Lines of the same moment go together.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#waiting.length > 0) await this.#writeBatch();
    this.#pumping = undefined;
  }

  async #writeBatch(): Promise<void> {
    const batch: Buffer[] = [];
    let bytes = 0;
    for (const line of this.#waiting) {
      if (bytes > 0 && bytes + line.length > batchBytesMax) break;
      batch.push(line);
      bytes += line.length;
    }
    try {
      await this.#writeAll(Buffer.concat(batch));
      this.#position += bytes;
      this.#writtenCount += batch.length;
      this.#trouble(undefined);
    } catch (error) {
      // Where even that fails, the next write begins at the same place and covers what is there.
      if (this.#isRegular) await this.#handle.truncate(this.#position).catch(() => {});
      this.#lose(batch.length, messageOf(error));
    }
    this.#waiting.splice(0, batch.length);
    this.#waitingBytes -= bytes;
  }

  async #writeAll(bytes: Buffer): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, this.#isRegular ? this.#position + done : null);
      done += bytesWritten;
    }
  }

  #lose(count: number, reason: string): void {
    this.#lostCount += count;
    this.#trouble(reason);
  }

  #trouble(reason: string | undefined): void {
    if (this.#isInTrouble === (reason !== undefined)) return;
    this.#isInTrouble = reason !== undefined;
    this.#options.onTrouble(reason);
  }
}
