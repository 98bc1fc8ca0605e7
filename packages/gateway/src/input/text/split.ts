/** A piece of a text, [start, end). The pieces of a text lie side by side and are all of it. */
export interface Piece {
  readonly start: number;
  readonly end: number;
  /** A fenced block of code, from fence to fence, is one piece whatever its length. */
  readonly isCode: boolean;
}

/** Characters. A line longer than this is cut after its sentences, and a sentence longer than that wherever it can be. */
const lineMax = 160;
const sentenceMax = 320;

/** Markdown's fences: at the beginning of a line, indented by three spaces at most. */
const fenceOpening = /^ {0,3}(`{3,}|~{3,})/;
/**
 * After a sentence's end, with what closes it. Before a space where letters stand apart, anywhere where they do not. A row of dots is looked at
 * from its first one only: from each of them it would take the square of their number.
 */
const sentenceEnd = /(?:(?<![.!?…])[.!?…]+["'”’)\]]*(?=\s)|[。！？；]+["'”’」』）]*)\s*/gu;
/** Everything up to a place inside a sentence where it may be cut. */
const lastSeparator = /^[^]*[ \t\u3000，、,;:：]/u;
/** What belongs to the character before it, so that no piece may begin with it. */
const continuesCharacter = /^(?:\p{Grapheme_Extend}|\p{M}|\p{Emoji_Modifier}|\u200d)/u;
const graphemes = new Intl.Segmenter('und', { granularity: 'grapheme' });

/**
 * Cuts a text where it can be cut without harm: between lines, and in long lines between sentences; never inside a character as people see
 * one, nor inside a fenced block of code. White space stays with what it follows. `lineLengthMax` 0 cuts every line into its sentences.
 */
export function splitText(text: string, lineLengthMax = lineMax): Piece[] {
  const pieces: Piece[] = [];
  let fence: { readonly mark: string; readonly start: number } | undefined;
  for (let start = 0; start < text.length;) {
    const end = lineEnd(text, start);
    const mark = fenceOpening.exec(text.slice(start, Math.min(end, start + 100)))?.[1];
    if (fence) {
      if (mark && closes(fence.mark, mark, text.slice(start, end))) {
        pieces.push({ start: fence.start, end, isCode: true });
        fence = undefined;
      }
    } else if (mark) {
      fence = { mark, start };
    } else {
      pushLine(pieces, text, { start, end, lineLengthMax });
    }
    start = end;
  }
  if (fence) pieces.push({ start: fence.start, end: text.length, isCode: true });
  return pieces;
}

export const textOf = (text: string, { start, end }: Piece): string => text.slice(start, end);

function lineEnd(text: string, from: number): number {
  const newline = text.indexOf('\n', from);
  let end = newline === -1 ? text.length : newline + 1;
  // Lines without anything belong to the line before them.
  while (text[end] === '\n' || (text[end] === '\r' && text[end + 1] === '\n')) end += text[end] === '\r' ? 2 : 1;
  return end;
}

function closes(opening: string, mark: string, line: string): boolean {
  return mark[0] === opening[0] && mark.length >= opening.length && line.trim() === mark;
}

function pushLine(
  pieces: Piece[],
  text: string,
  { start, end, lineLengthMax }: { start: number; end: number; lineLengthMax: number },
): void {
  if (end - start <= lineLengthMax) return pushPiece(pieces, text, start, end);
  let from = start;
  for (const {
    index,
    0: { length },
  } of text.slice(start, end).matchAll(sentenceEnd)) {
    const to = start + index + length;
    if (to >= end || !isBorder(text, to)) continue;
    pushSentence(pieces, text, from, to);
    from = to;
  }
  pushSentence(pieces, text, from, end);
}

function pushSentence(pieces: Piece[], text: string, start: number, end: number): void {
  let from = start;
  while (end - from > sentenceMax) {
    const to = cutWithin(text, from, end);
    if (to === end) break;
    pushPiece(pieces, text, from, to);
    from = to;
  }
  pushPiece(pieces, text, from, end);
}

/** After the last space or comma within the bound; where there is none, between two characters. */
function cutWithin(text: string, from: number, end: number): number {
  const found = lastSeparator.exec(text.slice(from, from + sentenceMax))?.[0].length ?? 0;
  if (found > sentenceMax / 4 && isBorder(text, from + found)) return from + found;
  // Looked at from the piece's own beginning, which is a border: what is found is one.
  for (const { index } of graphemes.segment(text.slice(from, Math.min(end, from + 2 * sentenceMax)))) {
    if (index >= sentenceMax) return from + index;
  }
  return from + 2 * sentenceMax >= end ? end : nextBorder(text, from, end);
}

/** Of a character that is longer than any that people write. */
function nextBorder(text: string, from: number, end: number): number {
  const [, second] = graphemes.segment(text.slice(from, end));
  return second ? from + second.index : end;
}

/** Whether a piece may end here, where what stands before it is white space or punctuation. */
function isBorder(text: string, at: number): boolean {
  return at >= text.length || !continuesCharacter.test(text.slice(at, at + 2));
}

function pushPiece(pieces: Piece[], text: string, start: number, end: number): void {
  if (end === start) return;
  const before = pieces.at(-1);
  // A line may begin with what belongs to the character before it only after a line break, which nothing continues.
  if (before && !before.isCode && !isBorder(text, start) && text[start - 1] !== '\n')
    pieces[pieces.length - 1] = { start: before.start, end, isCode: false };
  else pieces.push({ start, end, isCode: false });
}
