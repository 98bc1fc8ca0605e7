import { closeSync, openSync, fstatSync } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { observeAnswer, observePrompt } from './policy/index.ts';
import type { Scores } from './scorers/index.ts';
import { makeFolder } from '../../common/make-folder.ts';

export interface RecorderOptions {
  readonly file: string;
  /** Whether prompts and answers are written as well; otherwise what a policy looks at, as numbers, without words. */
  readonly hasContents: boolean;
  /** A file that has so many is not written to any more, until another is in its place. */
  readonly bytesMax: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Told once why nothing is written any more, and when something is again. */
  readonly onProblem: (problem: string | undefined) => void;
}

/** One question of the cascade, when it has been answered. */
export interface SeenQuestion {
  readonly id: string;
  readonly tenant: string;
  readonly prompt: string;
  /** The lowest tier's answer; undefined where it was not asked, or not held. */
  readonly cheapAnswer: string | undefined;
  readonly cheapScores: Scores | undefined;
  /** The highest tier's; undefined where it was not asked. */
  readonly strongAnswer: string | undefined;
  readonly tier: string;
  readonly isEscalated: boolean;
  readonly tried: readonly object[];
}

/** What somebody who knows says of the answers. */
export interface Judgement {
  readonly cheap_ok?: boolean | undefined;
  readonly strong_ok?: boolean | undefined;
}

/**
 * What became of a judgement: written; of no answer that is known; the side was judged otherwise before; the file is full or the disk too
 * slow.
 */
export type JudgementResult = 'recorded' | 'unknown' | 'judged' | 'dropped';

/** A question that may still be judged. */
interface Known {
  readonly tenant: string;
  said: Judgement;
}

/** Lines that wait for the disk. */
const waitingBytesMax = 4 * 1024 * 1024;
/** Questions that may still be judged: the last ones. */
const knownMax = 10_000;
const textMax = 65_536;
/** Whether a full file was moved away or emptied is looked at no more often. */
const lookAgainMs = 10_000;
const ownerOnly = 0o600;

/**
 * Writes what becomes of the cascade's questions, for `autoglm tune cascade`: a line for each question, and a line for each judgement
 * of one. Holds no request up: what the disk does not take in time is dropped, and counted.
 */
export class OutcomeRecorder {
  readonly #options: RecorderOptions;
  /** By the answer's id. */
  readonly #known = new Map<string, Known>();
  #waiting: string[] = [];
  #waitingBytes = 0;
  #writing: Promise<void> | undefined;
  /** Of the file, with what is on its way there. */
  #bytes: number;
  #isFull = false;
  #lookedAtMs = -Infinity;
  #problem: string | undefined;
  dropped = 0;

  /** Throws where the file cannot be written. */
  constructor(options: RecorderOptions) {
    this.#options = options;
    makeFolder(path.dirname(path.resolve(options.file)));
    const file = openSync(options.file, 'a+', ownerOnly);
    this.#bytes = fstatSync(file).size;
    closeSync(file);
  }

  question(seen: SeenQuestion): void {
    const { hasContents, now } = this.#options;
    const { id, tenant, prompt, cheapAnswer, cheapScores, strongAnswer, tier, isEscalated, tried } = seen;
    const contents = hasContents
      ? { prompt: prompt.slice(0, textMax), cheap_answer: cheapAnswer?.slice(0, textMax), strong_answer: strongAnswer?.slice(0, textMax) }
      : {
          prompt_numbers: observePrompt(prompt).numbers,
          answer_numbers: cheapAnswer === undefined ? undefined : observeAnswer(prompt, cheapAnswer).numbers,
        };
    if (!this.#write({ id, at_ms: now(), tier, escalated: isEscalated, ...contents, cheap_scores: cheapScores, tried })) return;
    this.#known.delete(id);
    this.#known.set(id, { tenant, said: {} });
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= knownMax) break;
      this.#known.delete(oldest);
    }
  }

  /** Each side of an answer is judged once: the file holds no more lines of it, and who asks again is told the same. */
  judge(id: string, tenant: string, { cheap_ok: cheapOk, strong_ok: strongOk }: Judgement): JudgementResult {
    const known = this.#known.get(id);
    if (known?.tenant !== tenant) return 'unknown';
    const { said } = known;
    const says = (before: boolean | undefined, now: boolean | undefined) =>
      now === undefined || now === before ? 'nothing' : before === undefined ? 'news' : 'otherwise';
    const sides = new Set([says(said.cheap_ok, cheapOk), says(said.strong_ok, strongOk)]);
    if (sides.has('otherwise')) return 'judged';
    if (!sides.has('news')) return 'recorded';
    if (!this.#write({ id, at_ms: this.#options.now(), cheap_ok: cheapOk, strong_ok: strongOk })) return 'dropped';
    known.said = { cheap_ok: cheapOk ?? said.cheap_ok, strong_ok: strongOk ?? said.strong_ok };
    return 'recorded';
  }

  /** When what waits has been written. */
  async close(): Promise<void> {
    await this.#writing;
  }

  /** Whether the line is on its way. */
  #write(line: object): boolean {
    const text = `${JSON.stringify(line)}\n`;
    const bytes = Buffer.byteLength(text);
    this.#isFull ||= this.#bytes + bytes > this.#options.bytesMax;
    if (this.#isFull) {
      this.#lookAgain();
      return this.#drop(`the file has its ${this.#options.bytesMax} bytes (tiers.record.bytes_max)`);
    }
    if (this.#waitingBytes + bytes > waitingBytesMax) return this.#drop('the disk is too slow');
    this.#waiting.push(text);
    this.#waitingBytes += bytes;
    this.#bytes += bytes;
    this.#writing ??= this.#flush();
    return true;
  }

  async #flush(): Promise<void> {
    while (this.#waiting.length > 0) {
      const [lines, bytes] = [this.#waiting, this.#waitingBytes];
      this.#waiting = [];
      this.#waitingBytes = 0;
      try {
        this.#bytes = (await append(this.#options.file, lines.join(''))) + this.#waitingBytes;
        if (!this.#isFull) this.#tell(undefined);
      } catch (error) {
        this.#bytes -= bytes;
        this.#drop((error as Error).message, lines.length);
      }
    }
    // In the same breath as the last look at what waits: a line that comes now begins anew.
    this.#writing = undefined;
  }

  /** Somebody may have moved a full file away, or emptied it. The line that asks is not kept waiting. */
  #lookAgain(): void {
    const nowMs = this.#options.now();
    if (this.#writing || nowMs - this.#lookedAtMs < lookAgainMs) return;
    this.#lookedAtMs = nowMs;
    this.#writing = this.#look();
  }

  async #look(): Promise<void> {
    const bytes = await stat(this.#options.file).then(
      ({ size }) => size,
      () => 0,
    );
    this.#writing = undefined;
    if (bytes >= this.#bytes) return;
    this.#bytes = bytes;
    this.#isFull = false;
    this.#tell(undefined);
  }

  #drop(problem: string, count = 1): false {
    this.dropped += count;
    this.#tell(problem);
    return false;
  }

  #tell(problem: string | undefined): void {
    if (problem !== this.#problem) this.#options.onProblem(problem);
    this.#problem = problem;
  }
}

/**
 * Gives the file's size after it. A line that was cut off, by a full disk or a process that was killed, ends here, so that it spoils no
 * other; a file that was moved away is made anew.
 */
async function append(file: string, lines: string): Promise<number> {
  const handle = await open(file, 'a+', ownerOnly);
  try {
    const { size } = await handle.stat();
    const text = (await isWithinLine(handle, size)) ? `\n${lines}` : lines;
    await handle.appendFile(text);
    return size + Buffer.byteLength(text);
  } finally {
    await handle.close();
  }
}

async function isWithinLine(handle: FileHandle, size: number): Promise<boolean> {
  if (size === 0) return false;
  const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1);
  return buffer[0] !== 0x0a;
}
