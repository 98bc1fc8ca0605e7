import { stat } from 'node:fs/promises';
import { messageOf, UserError } from '../../failure.ts';
import { formats } from '../formats/index.ts';
import { readLineBatches, type Line } from './line-batches.ts';
import { createTraceClock } from './trace-clock.ts';
import { BrokenLineError, type TraceFormat, type TraceRequest } from './trace-format.ts';

export interface Trace {
  readonly path: string;
  readonly format: TraceFormat;
  /** Reads the file from its beginning, a line at a time. */
  entries(): AsyncGenerator<TraceEntry>;
}

export type TraceEntry =
  /** `atMs` from the first request, never going back; `wentBack` where the trace's own time did. */
  | { readonly kind: 'request'; readonly line: number; readonly atMs: number; readonly wentBack: boolean; readonly request: TraceRequest }
  | { readonly kind: 'broken'; readonly line: number; readonly reason: string };

/** Lines that are looked at to guess the format: the first may be broken. */
const guessedLinesMax = 100;

/** Throws `UserError` when the file cannot be read, or is no trace of a known format. */
export async function openTrace(path: string, formatName: TraceFormat['name'] | 'auto'): Promise<Trace> {
  // Its format is guessed, it is surveyed, and then it is sent.
  if ((await stat(path).catch(() => undefined))?.isFIFO())
    throw new UserError(`${path} is a pipe, and a replay reads its trace several times: write it into a file first.`);
  const format = formatName === 'auto' ? await guessFormat(path) : formats.find(({ name }) => name === formatName);
  if (!format) throw new UserError(`There is no trace format ${formatName}.`);
  return { path, format, entries: () => readEntries(path, format) };
}

async function guessFormat(path: string): Promise<TraceFormat> {
  let count = 0;
  for await (const lines of readLines(path)) {
    for (const line of lines) {
      if (line === '') continue;
      const format = line === undefined ? undefined : formats.find((candidate) => candidate.recognises(line));
      if (format) return format;
      count += 1;
      if (count === guessedLinesMax) throw unknownFormat(path);
    }
  }
  throw count === 0 ? new UserError(`${path} is empty: there is no request to send.`) : unknownFormat(path);
}

function unknownFormat(path: string): UserError {
  return new UserError(
    `${path} is no trace that autoglm knows (${formats.map(({ name }) => name).join(', ')}). Name its format with --format.`,
  );
}

async function* readEntries(path: string, format: TraceFormat): AsyncGenerator<TraceEntry> {
  const reader = format.createReader();
  const clock = createTraceClock();
  let number = 0;
  for await (const lines of readLines(path)) {
    for (const line of lines) {
      number += 1;
      if (line === '') continue;
      try {
        if (line === undefined) throw new BrokenLineError('too long');
        const request = reader.read(line);
        if (request) yield { kind: 'request', line: number, request, ...clock.advance(request.atMs) };
      } catch (error) {
        if (!(error instanceof BrokenLineError)) throw error;
        yield { kind: 'broken', line: number, reason: error.message };
      }
    }
  }
}

/** Without white space at either end, and without a byte order mark. */
async function* readLines(path: string): AsyncGenerator<Line[]> {
  try {
    for await (const lines of readLineBatches(path)) yield lines.map((line) => line?.trim());
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new UserError(`There is no file ${path}.`);
    if (code !== undefined && /^E[A-Z]+$/.test(code)) throw new UserError(`${path} cannot be read: ${messageOf(error)}`);
    throw error;
  }
}
