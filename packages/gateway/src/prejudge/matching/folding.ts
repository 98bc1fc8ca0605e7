/**
 * What shows nothing or only decorates: soft hyphens, zero-width and bidirectional marks, variation selectors, tags, strokes
 * through letters. Written as UTF-16 units: with the flag `u` the search takes several times as long.
 */
const combining = '\\u0300-\\u036f\\ufe00-\\ufe0f';
const unseen =
  '\\u00ad\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f\\u202a-\\u202e\\u2060-\\u206f\\u3164\\ufeff\\uffa0\\ufff9-\\ufffb';
const invisible = new RegExp(`[${unseen}${combining}]|\\udb40[\\udc00-\\udfff]`, 'g');
const spaces = /\s{2,}|[^\S ]/g;

/**
 * A text as it is compared where case, width and invisible characters do not count: compatibility forms made plain (NFKC), in lower
 * case, runs of white space as one blank. What is folded once is not changed by folding it again.
 */
export function fold(text: string): string {
  const plain = text.normalize('NFKC').replace(invisible, '');
  const lower = plain.toLowerCase();
  // Making one thing plain can uncover another, a full-width letter with a stroke, say; most texts are plain.
  const isSettled = plain === text && lower.length === plain.length;
  return (isSettled ? lower : foldFurther(lower)).replace(spaces, ' ');
}

/** Three rounds have settled all that is known. */
function foldFurther(text: string): string {
  let folded = text;
  for (let round = 0; round < 3; round += 1) {
    const again = folded.normalize('NFKC').replace(invisible, '').toLowerCase();
    if (again === folded) break;
    folded = again;
  }
  return folded;
}

/** 1 for UTF-16 units that are no part of a letter or a number; halves of surrogate pairs count as letters. */
export const isNoLetter = new Uint8Array(0x1_0000);
const letter = /[\p{L}\p{N}\p{M}]/u;
for (let unit = 0; unit < 0x1_0000; unit += 1) {
  const isSurrogate = unit >= 0xd800 && unit <= 0xdfff;
  isNoLetter[unit] = isSurrogate || letter.test(String.fromCharCode(unit)) ? 0 : 1;
}

/** Only the letters and digits of a folded text: what is left when blanks, dots or dashes were put between them. */
export function lettersOf(folded: string): string {
  let letters = '';
  for (let index = 0; index < folded.length; index += 1) if (isNoLetter[folded.charCodeAt(index)] === 0) letters += folded[index];
  return letters;
}
