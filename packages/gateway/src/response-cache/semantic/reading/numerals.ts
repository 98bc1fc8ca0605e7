const digits = new Map([...'零〇一二三四五六七八九'].map((character, index) => [character, Math.max(0, index - 1)]));
digits.set('两', 2);
const tens = new Map([
  ['十', 10],
  ['百', 100],
  ['千', 1000],
]);
const groups = new Map([
  ['万', 1e4],
  ['亿', 1e8],
]);

/** The value of a Chinese numeral, such as 三百二十, 二零一六 or 两万五; undefined: it is none. */
export function chineseNumber(text: string): number | undefined {
  if (text.length === 0) return undefined;
  if ([...text].every((character) => digits.has(character))) return Number([...text].map((character) => digits.get(character)).join(''));
  let total = 0;
  let section = 0;
  let digit: number | undefined;
  let lastUnit = 1;
  for (const character of text) {
    const value = digits.get(character);
    const ten = tens.get(character);
    const group = groups.get(character);
    if (value !== undefined) {
      digit = value;
      if (character === '零' || character === '〇') lastUnit = 1;
    } else if (ten !== undefined) {
      section += (digit ?? (section === 0 ? 1 : 0)) * ten;
      digit = undefined;
      lastUnit = ten;
    } else if (group !== undefined) {
      total = (total + section + (digit ?? 0)) * group;
      section = 0;
      digit = undefined;
      lastUnit = group;
    } else return undefined;
  }
  // 两万五 is 25,000, 三百五 is 350.
  return total + section + (digit ?? 0) * (lastUnit > 10 ? lastUnit / 10 : 1);
}

const small = new Map(
  'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen'
    .split(' ')
    .map((word, value) => [word, value] as const),
);
for (const [index, word] of 'twenty thirty forty fifty sixty seventy eighty ninety'.split(' ').entries()) small.set(word, (index + 2) * 10);
for (const [index, word] of 'first second third fourth fifth sixth seventh eighth ninth tenth'.split(' ').entries())
  small.set(word, index + 1);
const multipliers = new Map([
  ['hundred', 100],
  ['thousand', 1e3],
  ['k', 1e3],
  ['lakh', 1e5],
  ['lac', 1e5],
  ['million', 1e6],
  ['mn', 1e6],
  ['crore', 1e7],
  ['billion', 1e9],
  ['bn', 1e9],
  ['trillion', 1e12],
]);
const roman = new Map([
  ['II', 2],
  ['III', 3],
  ['IV', 4],
  ['VI', 6],
  ['VII', 7],
  ['VIII', 8],
  ['IX', 9],
  ['XI', 11],
  ['XII', 12],
]);

/** The value of one English word, or of a Roman numeral in capitals that is no other word. */
export function englishNumber(word: string): number | undefined {
  return small.get(word.toLowerCase()) ?? roman.get(word);
}

/** By how much a word multiplies the number before it. */
export function multiplierOf(word: string): number | undefined {
  return multipliers.get(word.toLowerCase());
}

/** 1,250.50 and 10k: what digits, and the letters behind them, say. */
export function writtenNumber(text: string): number | undefined {
  const match = /^(\d[\d,]*(?:\.\d+)?)(k|m|bn|st|nd|rd|th)?$/i.exec(text);
  if (!match) return undefined;
  const value = Number((match[1] as string).replaceAll(',', ''));
  const suffix = (match[2] ?? '').toLowerCase();
  return value * (suffix === 'k' ? 1e3 : suffix === 'm' ? 1e6 : suffix === 'bn' ? 1e9 : 1);
}
