/** What prompts and answers are measured by stays within this many characters: a longer text is long, and that is enough. */
export const lengthMax = 16_384;

const numberPattern = /\d[\d,]*(?:\.\d+)?/g;
const wordPattern = /[\p{Script=Han}]|[\p{L}]+(?:['’]\p{L}+)?/gu;

/** Numbers written in digits, as values. */
export function numbersOf(text: string): number[] {
  return (text.match(numberPattern) ?? []).map((written) => Number(written.replaceAll(',', '')));
}

/** Words in lower case; a Chinese character is one. */
export function wordsOf(text: string): string[] {
  return text.toLowerCase().match(wordPattern) ?? [];
}

/** How many of the words are in the set. */
export function countOf(words: readonly string[], set: ReadonlySet<string>): number {
  return words.reduce((count, word) => count + Number(set.has(word)), 0);
}

export function matchesOf(text: string, pattern: RegExp): number {
  return text.match(pattern)?.length ?? 0;
}

/** Counts grow by what they are already: the second number says more than the twentieth. */
export function damped(count: number): number {
  return Math.log1p(count);
}
