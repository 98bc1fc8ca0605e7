/**
 * What two chunks of one stream have in common: everything but their text. A server repeats the same 200 bytes around every
 * token, so that a chunk which begins and ends like the one before, with one JSON string between, can say nothing else than
 * that string. Checking this costs a comparison of bytes instead of parsing the chunk.
 */
export interface Frame {
  readonly head: string;
  readonly tail: string;
}

/** A field and its JSON string. */
const literals = Object.fromEntries(
  ['content', 'text', 'reasoning_content', 'reasoning'].map((field) => [field, new RegExp(`"${field}":\\s*"((?:[^"\\\\]|\\\\.)+)"`, 's')]),
);
const probe = 'a probe';

/** The frame of a chunk that `textOf` reads a text from, in this field; undefined where the text is not where it seems to be. */
export function learnFrame(data: string, field: string, textOf: (chunk: unknown) => string | undefined): Frame | undefined {
  const match = literals[field]?.exec(data);
  if (!match) return undefined;
  const end = match.index + match[0].length - 1;
  const head = data.slice(0, end - (match[1] as string).length);
  const tail = data.slice(end);
  try {
    return textOf(JSON.parse(head + probe + tail)) === probe ? { head, tail } : undefined;
  } catch {
    return undefined;
  }
}

/** The text of a chunk in this frame; undefined for any other, and for what is not JSON. */
export function readFramed({ head, tail }: Frame, data: string): string | undefined {
  if (data.length < head.length + tail.length || !data.startsWith(head) || !data.endsWith(tail)) return undefined;
  const raw = data.slice(head.length, data.length - tail.length);
  if (!raw.includes('"') && !raw.includes('\\')) return raw;
  try {
    return JSON.parse(`"${raw}"`) as string;
  } catch {
    return undefined;
  }
}
