/** After them, and before anything that is none, a text may be cut: tokenizers that split by patterns split there too. */
const sentenceMarks = new Set(Array.from('.,;:!?。，、；：！？', (mark) => mark.charCodeAt(0)));

/**
 * The text in pieces, cut where it goes on for more than `max` characters without a change between space and what is none: after a
 * sentence's mark in the second half of such a stretch, or else in the middle of a word. Texts that people write are one piece.
 */
export function cutStretches(text: string, max: number): readonly string[] {
  const pieces: string[] = [];
  let from = 0;
  let start = 0;
  let mark = 0;
  for (let at = 1; at < text.length; at += 1) {
    const [before, code] = [text.charCodeAt(at - 1), text.charCodeAt(at)];
    if (isSpace(before) !== isSpace(code)) {
      start = at;
      continue;
    }
    if (sentenceMarks.has(before) && !sentenceMarks.has(code)) mark = at;
    if (at - start < max) continue;
    start = mark > start + max / 2 ? mark : isSecondHalf(code) ? at - 1 : at;
    pieces.push(text.slice(from, start));
    from = start;
  }
  pieces.push(text.slice(from));
  return pieces;
}

function isSpace(code: number): boolean {
  return code <= 0x20 || code === 0xa0 || code === 0x3000 || (code >= 0x2000 && code <= 0x200a) || code === 0x2028 || code === 0x2029;
}

/** Of a character that takes two places in a string. */
function isSecondHalf(code: number): boolean {
  return code >= 0xdc00 && code <= 0xdfff;
}
