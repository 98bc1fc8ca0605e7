/** A character of a JSON string of which some bytes were read: as UTF-8, or as an escape. The rest decides between `low` and `high`. */
export type PartialCharacter =
  | { readonly form: 'utf8'; readonly missing: number; readonly bits: number; readonly floor: number }
  | { readonly form: 'escape' }
  | { readonly form: 'hex'; readonly missing: number; readonly bits: number };

/** What a byte makes of a character: the whole of it, as a code point, or a part. Undefined where JSON ends or forbids it. */
export type CharacterStep = number | PartialCharacter | undefined;

const escaped: ReadonlyMap<number, number> = new Map(
  [...'"\\/bfnrt'].map((letter, index) => [letter.charCodeAt(0), '"\\/\b\f\n\r\t'.charCodeAt(index)]),
);
const backslash = 0x5c;
const quote = 0x22;
const escape: PartialCharacter = { form: 'escape' };
const hex: PartialCharacter = { form: 'hex', missing: 4, bits: 0 };

export function beginCharacter(byte: number): CharacterStep {
  if (byte < 0x20 || byte === quote) return undefined;
  if (byte === backslash) return escape;
  if (byte < 0x80) return byte;
  if (byte >= 0xc2 && byte < 0xe0) return { form: 'utf8', missing: 1, bits: byte & 0x1f, floor: 0x80 };
  if (byte >= 0xe0 && byte < 0xf0) return { form: 'utf8', missing: 2, bits: byte & 0x0f, floor: 0x800 };
  if (byte >= 0xf0 && byte < 0xf5) return { form: 'utf8', missing: 3, bits: byte & 0x07, floor: 0x10000 };
  return undefined;
}

export function continueCharacter(part: PartialCharacter, byte: number): CharacterStep {
  if (part.form === 'utf8') {
    if ((byte & 0xc0) !== 0x80) return undefined;
    const bits = (part.bits << 6) | (byte & 0x3f);
    return part.missing === 1 ? bits : { ...part, missing: part.missing - 1, bits };
  }
  if (part.form === 'escape') return byte === 0x75 ? hex : escaped.get(byte);
  const digit = hexDigit(byte);
  if (digit === undefined) return undefined;
  const bits = (part.bits << 4) | digit;
  return part.missing === 1 ? bits : { form: 'hex', missing: part.missing - 1, bits };
}

/** Whether `takes`, asked about ranges of code points, takes any that the part may become. Halves of surrogate pairs are none. */
export function mayBecome(part: PartialCharacter, takes: (low: number, high: number) => boolean): boolean {
  const [low, high] = rangeOf(part);
  return takesAny(low, Math.min(high, 0xd7ff), takes) || takesAny(Math.max(low, 0xe000), high, takes);
}

function takesAny(low: number, high: number, takes: (low: number, high: number) => boolean): boolean {
  return low <= high && takes(low, high);
}

function rangeOf(part: PartialCharacter): readonly [number, number] {
  if (part.form === 'escape') return [0, 0xffff];
  const width = part.missing * (part.form === 'hex' ? 4 : 6);
  const low = part.bits << width;
  const high = low + (1 << width) - 1;
  return part.form === 'hex' ? [low, high] : [Math.max(low, part.floor), Math.min(high, 0x10ffff)];
}

function hexDigit(byte: number): number | undefined {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : undefined;
}
