import { createReadStream } from 'node:fs';

/** A line without its end; nothing for one that is too long to be a request, and is not kept. */
export type Line = string | undefined;

/** A prompt of a million tokens has its place; a file without line ends does not fill the memory. */
const lineBytesMax = 64 * 1024 * 1024;
const lineFeed = 10;

/** Reads a file as a stream: the lines that each piece of it completes, in order. */
export async function* readLineBatches(path: string): AsyncGenerator<Line[]> {
  let started: Buffer[] = [];
  let startedBytes = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 256 * 1024 }) as AsyncIterable<Buffer>) {
    const lines: Line[] = [];
    let from = 0;
    for (let end = chunk.indexOf(lineFeed); end !== -1; end = chunk.indexOf(lineFeed, from)) {
      lines.push(join(chunk.subarray(from, end)));
      from = end + 1;
    }
    keep(chunk.subarray(from));
    yield lines;
  }
  if (startedBytes > 0) yield [join(Buffer.alloc(0))];

  function keep(rest: Buffer): void {
    startedBytes += rest.length;
    if (startedBytes > lineBytesMax) started = [];
    else if (rest.length > 0) started.push(rest);
  }
  function join(end: Buffer): Line {
    const isTooLong = startedBytes + end.length > lineBytesMax;
    const line = isTooLong ? undefined : (started.length === 0 ? end : Buffer.concat([...started, end])).toString('utf8');
    started = [];
    startedBytes = 0;
    return line;
  }
}
