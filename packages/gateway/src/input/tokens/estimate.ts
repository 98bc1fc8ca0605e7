/** Characters of words and spaces that make a token, at least, in every tokenizer of the field that we know of. */
const charactersOfToken = 3.2;
const dense = /[^\p{sc=Latin}\p{sc=Cyrillic}\p{sc=Greek}\s]/gu;

/**
 * About how many tokens a text has, for a model whose tokenizer nobody knows: rather too many. A token for every 3.2 characters of
 * alphabetic text, one for every other character: digits, signs, Chinese.
 */
export function estimateTokens(text: string): number {
  const denseCount = text.match(dense)?.length ?? 0;
  return Math.ceil(denseCount + (text.length - denseCount) / charactersOfToken);
}
