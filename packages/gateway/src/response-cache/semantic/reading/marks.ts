/**
 * Punctuation that does more than end sentences and join words: brackets, signs and strokes, the point of .5, an exclamation mark that
 * is a factorial or says not, inches and derivatives, and what stands by itself. Where it is doubtful it counts: a question that is
 * told apart in vain costs a hit.
 */
const mark =
  /[()[\]{}/\\]|(?<!\p{L})[-−–]|[-−–](?!\p{L})|(?<!\d)\.(?=\d)|!(?=[=\p{L}\d(])|(?<=[\d)])[!'"]|'(?=\()|(?<=^|\s)[^\s\p{L}\p{N}]{1,8}(?=\s)/gu;

/** In order; those inside of numbers and dates are theirs. `numbers`: where they stand in the text, in order. */
export function findMarks(text: string, numbers: readonly { readonly start: number; readonly end: number }[]): readonly string[] {
  const pieces: string[] = [];
  let from = 0;
  for (const { start, end } of numbers) {
    pieces.push(text.slice(from, start), '0'.repeat(end - start));
    from = end;
  }
  pieces.push(text.slice(from));
  return Array.from(pieces.join('').matchAll(mark), ([found]) => found.replace(/[−–]/gu, '-'));
}
