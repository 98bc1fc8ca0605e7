/** Scripts that put no space between words; two neighbouring characters stand for a word. */
const run = /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}]+|[[\p{L}\p{N}]--[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}]]+/gv;
const unspaced = /^[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}]/u;

/** Words that say how a question is put and not what it is about; the pairs of Chinese characters do likewise. */
const commonWords = new Set(
  (
    'a an the is are was were be been of in on at to for from by with and or not no do does did what which who whom whose where when why how that this these those it its i you he she we they me my your our their ' +
    'his her can could would should will shall may might must have has had there as if so than then about into over under again please tell say said give make let know ' +
    '什么 怎么 多少 哪里 哪个 为什 是什 么是 的是 请问 一下 可以 我们 你们 他们 这个 那个 是否 如何 告诉 诉我 东西 西是'
  ).split(' '),
);

/** What a text is about: words in lower case, and pairs of characters where words have no spaces. In order, repeated ones too. */
export function termsOf(text: string): string[] {
  const terms: string[] = [];
  for (const [match] of text.normalize('NFKC').toLowerCase().matchAll(run)) {
    if (!unspaced.test(match)) terms.push(match);
    else if (match.length === 1) terms.push(match);
    else for (let index = 0; index + 1 < match.length; index += 1) terms.push(match.slice(index, index + 2));
  }
  return terms;
}

export function isCommon(term: string): boolean {
  return commonWords.has(term);
}
