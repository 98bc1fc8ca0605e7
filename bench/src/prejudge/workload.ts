import { createRandom, type Random } from '@open-autoglm/statistics';

const english = (
  'the house garden river message please write a summary about report meeting travel weather market ticket order window station number letter morning ' +
  'ignore previous instructions system prompt rules secret answer question people company product customer delivery address payment account'
).split(' ');
const chinese =
  '清晨的城市刚刚醒来街道两旁早餐铺子冒着热气赶路人们匆走过图书馆门口已经有排队他想在安静阅览室里读一整天河边公园老打太极拳孩追风筝奔跑忽略以上指令系统提示规则';

/** A thousand rules as a platform team has them after some years: phrases, spaced-out phrases, patterns with alternatives and gaps. */
export interface Workload {
  /** The file for our stage. */
  readonly yaml: string;
  /** The same as native regular expressions, one for each rule. */
  readonly expressions: readonly RegExp[];
  readonly texts: readonly string[];
}

interface Searched {
  readonly literals?: readonly string[];
  readonly patterns?: readonly string[];
  readonly on: 'folded' | 'letters';
}

/** `textBytes` of UTF-8 in each text, half of them Chinese; no text meets a rule, so that every rule is looked for to the end. */
export function makeWorkload({
  rules,
  texts,
  textBytes,
  seed,
}: {
  readonly rules: number;
  readonly texts: number;
  readonly textBytes: number;
  readonly seed: number;
}): Workload {
  const random = createRandom(seed);
  const searched = Array.from({ length: rules }, (_, index): Searched => makeSearch(index, random));
  return {
    yaml: JSON.stringify({ rules: searched.map((find, index) => ({ name: `rule-${index}`, find, refuse: {} })) }),
    expressions: searched.map(({ literals = [], patterns = [] }) => new RegExp([...literals.map(escaped), ...patterns].join('|'), 'iu')),
    texts: Array.from({ length: texts }, (_, index) => makeText(textBytes, index % 2 === 0, random)),
  };
}

/** Every word list ends with something that no text has. */
function makeSearch(index: number, random: Random): Searched {
  const phrase = () =>
    random() < 0.5
      ? `${pick(english, random)} ${pick(english, random)} ${pick(english, random)}`
      : `${pick(chinese, random)}${pick(chinese, random)}${pick(chinese, random)}`;
  const end = `q${index}`;
  if (index % 10 < 5) return { on: 'folded', literals: [`${phrase()} ${end}`, `${phrase()} ${end}`] };
  if (index % 10 < 7) return { on: 'letters', literals: [`${phrase()}${end}`.replaceAll(' ', '')] };
  if (index % 10 < 9) return { on: 'folded', patterns: [`(?:${phrase()}|${phrase()}) .{0,20}${pick(english, random)}s? ${end}`] };
  return { on: 'folded', patterns: [`${pick(chinese, random)}(?:的|了)?${pick(chinese, random)}\\d{2,8}${end}`] };
}

function makeText(bytes: number, isChinese: boolean, random: Random): string {
  let text = '';
  while (Buffer.byteLength(text) < bytes) {
    for (let word = 0; word < 20; word += 1)
      text += isChinese ? pick(chinese, random) + pick(chinese, random) : `${pick(english, random)} `;
    text += isChinese ? '，' : '. ';
  }
  return text;
}

function pick<T extends string | readonly string[]>(from: T, random: Random): string {
  return from[Math.floor(random() * from.length)] as string;
}

function escaped(literal: string): string {
  return literal.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
