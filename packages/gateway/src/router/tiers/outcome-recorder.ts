import { closeSync, mkdirSync, openSync, fstatSync } from 'node:fs';
import { appendFile } from 'node:fs/promises';
import path from 'node:path';
import { observeAnswer, observePrompt } from './policy/index.ts';
import type { Scores } from './scorers/index.ts';

export interface RecorderOptions {
  readonly file: string;
  /** Whether prompts and answers are written as well; otherwise what a policy looks at, as numbers, without words. */
  readonly hasContents: boolean;
  /** A file that has so many is not written to any more. */
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

/** Lines that wait for the disk. */
const waitingBytesMax = 4 * 1024 * 1024;
/** Questions that may still be judged: the last ones. */
const knownMax = 10_000;
const textMax = 65_536;

/**
 * Writes what becomes of the cascade's questions, for `autoglm tune cascade`: a line for each question, and a line for each judgement of one. Holds no
 * request up: what the disk does not take in time is dropped, and counted.
 */
export class OutcomeRecorder {
  readonly #options: RecorderOptions;
  /** By the answer's id, whose question it was. */
  readonly #known = new Map<string, string>();
  #waiting: string[] = [];
  #waitingBytes = 0;
  #writing: Promise<void> | undefined;
  /** Of the file, with what is on its way there. */
  #bytes: number;
  #isFull = false;
  #problem: string | undefined;
  dropped = 0;

  /** Throws where the file cannot be written. */
  constructor(options: RecorderOptions) {
    this.#options = options;
    mkdirSync(path.dirname(path.resolve(options.file)), { recursive: true });
    const file = openSync(options.file, 'a', 0o600);
    this.#bytes = fstatSync(file).size;
    closeSync(file);
  }

  question(seen: SeenQuestion): void {
    const { hasContents, now } = this.#options;
    const { id, tenant, prompt, cheapAnswer, cheapScores, strongAnswer, tier, isEscalated, tried } = seen;
    const contents = hasContents
      ? { prompt: prompt.slice(0, textMax), cheap_answer: cheapAnswer?.slice(0, textMax), strong_answer: strongAnswer?.slice(0, textMax) }
      : { prompt_numbers: observePrompt(prompt).numbers, answer_numbers: cheapAnswer === undefined ? undefined : observeAnswer(prompt, cheapAnswer).numbers };
    this.#write({ id, at_ms: now(), tier, escalated: isEscalated, ...contents, cheap_scores: cheapScores, tried });
    this.#known.delete(id);
    this.#known.set(id, tenant);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= knownMax) break;
      this.#known.delete(oldest);
    }
  }

  /** Whether this tenant asked such a question lately. */
  judge(id: string, tenant: string, { cheap_ok: cheapOk, strong_ok: strongOk }: Judgement): boolean {
    if (this.#known.get(id) !== tenant) return false;
    this.#write({ id, at_ms: this.#options.now(), cheap_ok: cheapOk, strong_ok: strongOk });
    return true;
  }

  /** When what waits has been written. */
  async close(): Promise<void> {
    await this.#writing;
  }

  #write(line: object): void {
    const text = `${JSON.stringify(line)}\n`;
    const bytes = Buffer.byteLength(text);
    this.#isFull ||= this.#bytes + bytes > this.#options.bytesMax;
    if (this.#isFull) return this.#drop(`the file has its ${this.#options.bytesMax} bytes (tiers.record.bytes_max)`);
    if (this.#waitingBytes + bytes > waitingBytesMax) return this.#drop('the disk is too slow');
    this.#waiting.push(text);
    this.#waitingBytes += bytes;
    this.#bytes += bytes;
    this.#writing ??= this.#flush().finally(() => (this.#writing = undefined));
  }

  async #flush(): Promise<void> {
    while (this.#waiting.length > 0) {
      const [lines, bytes] = [this.#waiting, this.#waitingBytes];
      this.#waiting = [];
      this.#waitingBytes = 0;
      try {
        await appendFile(this.#options.file, lines.join(''));
        if (!this.#isFull) this.#tell(undefined);
      } catch (error) {
        this.#bytes -= bytes;
        this.#drop((error as Error).message, lines.length);
      }
    }
  }

  #drop(problem: string, count = 1): void {
    this.dropped += count;
    this.#tell(problem);
  }

  #tell(problem: string | undefined): void {
    if (problem !== this.#problem) this.#options.onProblem(problem);
    this.#problem = problem;
  }
}
