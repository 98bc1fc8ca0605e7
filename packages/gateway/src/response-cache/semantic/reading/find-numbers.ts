import { chineseNumber, englishNumber, multiplierOf, writtenNumber } from './numerals.ts';
import type { Word } from './reading.ts';
import { findUnit } from './units.ts';

/** A number, a date or a time of day, where it stands in the text. Without a word it only looks like one (一个, 十分). */
export interface NumberSpan {
  readonly start: number;
  readonly end: number;
  readonly word: Word | undefined;
}

const chineseDigit = '零〇一二两三四五六七八九十百千万亿';
const numeral = `(?:\\d+(?:\\.\\d+)?[万亿千百]?|[${chineseDigit}]+)`;
const dayPart = '凌晨|早上|早晨|上午|中午|下午|傍晚|晚上|夜里';
const measures =
  '公里|公斤|千克|千米|英里|厘米|毫米|毫升|小时|钟头|分钟|秒钟|星期|礼拜|个月|英寸|英尺|美元|美金|欧元|日元|英镑|卢比|块钱|人民币|' +
  '[个位只条张件次块元毛角米克斤吨升秒天日号年月周岁人倍楼层期级届名家部台辆本页章节步折成度分刻集季代杯瓶碗双套间栋座首篇款门轮局场票股口种项所支枚颗]';
/** A comma sets groups of digits apart, in twos after the first three where lakhs are counted; any other stands between two numbers. */
const number = String.raw`(?:\d{1,3}(?:,\d{2,3})*,\d{3}|\d+)(?:\.\d+)?`;
const months = 'january|february|march|april|may|june|july|august|september|october|november|december';
const englishWords =
  'zero|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|billion|one(?=[ -](?:hundred|thousand|million|billion|lakh|crore)\\b)|first|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth';

type Groups = Readonly<Record<string, string | undefined>>;
type MakeWord = (groups: Groups, text: string) => Word | undefined;

/** Longest first: a number inside one of an earlier line is not looked at again. */
const patterns: readonly (readonly [RegExp, MakeWord])[] = [
  [/(?<hour>\d{1,2})[:：](?<minute>\d{2})(?::\d{2})?(?:\s*(?<half>[ap])\.?m\b\.?)?/giu, clockOf],
  [/(?<![\d.])(?<hour>\d{1,2})\s*(?:(?<half>[ap])\.?m\b\.?|o['’]clock)/giu, clockOf],
  [
    new RegExp(
      `(?:(?<part>${dayPart})的?|(?<!有|早|快|慢|多|少|大|小|好|差))(?<hour>${numeral})[点點](?:钟|整)?(?:(?<quarter>半|[一三]刻)|(?<minute>${numeral})分?)?(?!的?[建意原要])`,
      'gu',
    ),
    clockOf,
  ],
  [
    /(?<year>\d{4})[-/.](?<month>\d{1,2})[-/.](?<day>\d{1,2})(?!\d)/gu,
    ({ year, month, day }, text) => numberWord(`${year}-${Number(month)}-${Number(day)}`, 'date', text),
  ],
  [
    new RegExp(`(?:周|星期|礼拜)(?<day>[一二三四五六日天1-7])`, 'gu'),
    ({ day = '' }, text) => numberWord(String('日天'.includes(day) ? 7 : (chineseNumber(day) ?? day)), 'weekday', text),
  ],
  [new RegExp(`百分之(?<value>${numeral})`, 'gu'), ({ value = '' }, text) => numberWord(String(valueOf(value)), '%', text)],
  [new RegExp(`第(?<value>${numeral})`, 'gu'), ({ value = '' }, text) => numberWord(String(valueOf(value)), 'th', text)],
  [
    new RegExp(
      `一(?:个(?!月|小时|钟头|星期|礼拜)|种|位|些|下|样|起|直|定|般|点|切|旦|边|共|向|再|致|律|方面|名|条)|万一|千万(?![${chineseDigit}个元块人])|十分(?!钟|之)|统一|唯一|百度|百货|一度`,
      'gu',
    ),
    () => undefined,
  ],
  [new RegExp(`(?<value>${numeral})(?<half1>半)?\\s*(?<unit>${measures})(?<half>半)?`, 'gu'), measured],
  [
    new RegExp(`半(?<unit>小时|个小时|个月|年|天|斤|公斤|公里)`, 'gu'),
    ({ unit = '' }, text) => numberWord('0.5', unitName(unit.replace(/^个(?=小时)/, '')), text),
  ],
  [new RegExp(`[${chineseDigit}]{2,}`, 'gu'), (_, text) => numberWord(String(valueOf(text)), undefined, text)],
  [new RegExp(String.raw`\b(?<month>${months})\.?\s+(?<day>\d{1,2})(?:st|nd|rd|th)?\b(?:,?\s+(?<year>\d{4})\b)?`, 'giu'), englishDate],
  [
    new RegExp(String.raw`\b(?<day>\d{1,2})(?:st|nd|rd|th)?\s+(?:of\s+)?(?<month>${months})\b(?:,?\s+(?<year>\d{4})\b)?`, 'giu'),
    englishDate,
  ],
  [
    new RegExp(
      String.raw`(?<currency>[$€£¥₹]|\brs\.?\s?)?(?<![\p{L}\d])(?<value>${number}(?:st|nd|rd|th|k|bn)?)(?![\p{L}\d])(?:\s*(?<multiplier>hundred|thousand|lakhs?|lacs?|million|crores?|billion|trillion)\b)?(?:\s*-?(?<unit>%|°|[a-z]+\b))?`,
      'giu',
    ),
    written,
  ],
  [new RegExp(String.raw`(?<![\p{L}\d])(?<value>\d+(?:\.\d+)?)(?<unit>[a-z]+\b)`, 'giu'), written],
  [new RegExp(String.raw`\b(?:${englishWords})(?:[ -](?:and )?(?:${englishWords}))*\b(?:[ -](?<unit>[a-z]+)\b)?`, 'giu'), spelt],
];

/** All numbers of a text, in order, none over another. */
export function findNumbers(text: string): NumberSpan[] {
  // What is found is blanked, so that no later pattern sees it.
  let rest = text;
  const spans: NumberSpan[] = [];
  for (const [pattern, make] of patterns) {
    rest = rest.replace(pattern, (...args: unknown[]) => {
      const matched = args[0] as string;
      const groups = (typeof args.at(-1) === 'object' ? args.at(-1) : {}) as Groups;
      const start = args.find((argument) => typeof argument === 'number') as number;
      const made = make(groups, matched);
      const isKept = made === keepAsText;
      if (isKept) return matched;
      const unread = unreadTail(made, groups, matched);
      spans.push({
        start,
        end: start + matched.length - unread,
        word: made && { ...made, text: matched.slice(0, matched.length - unread) },
      });
      return '\u0000'.repeat(matched.length - unread) + matched.slice(matched.length - unread);
    });
  }
  return spans.toSorted((a, b) => a.start - b.start);
}

/** It is no number after all: the words that follow read it. */
const keepAsText: Word = { base: '', text: '', kind: 'content', isName: false };

/** A word that follows a number and is no unit is not taken along. */
function unreadTail(made: Word | undefined, groups: Groups, matched: string): number {
  const unit = groups['unit'];
  if (!made || unit === undefined || made.unit !== undefined || !matched.endsWith(unit)) return 0;
  const before = matched.slice(0, -unit.length);
  return matched.length - before.replace(/[\s-]+$/, '').length;
}

function numberWord(base: string, unit: string | undefined, text: string): Word {
  return { base, text, kind: 'number', isName: false, ...(unit !== undefined && { unit }) };
}

/** 15:00, 3pm, 下午三点 and 下午3点钟 are one; 3点 without a part of the day is another. */
function clockOf({ hour = '', minute, half, part, quarter }: Groups, text: string): Word | undefined {
  // 一点 is "a bit" unless something says that it is a time.
  if (hour === '一' && part === undefined && quarter === undefined && minute === undefined && !/[钟整]/u.test(text)) return undefined;
  const written = valueOf(hour);
  if (written > 24) return keepAsText;
  const minutes = quarter === '半' ? 30 : quarter === '一刻' ? 15 : quarter === '三刻' ? 45 : valueOf(minute ?? '0');
  const isAfternoon =
    half?.toLowerCase() === 'p' || part === '下午' || part === '傍晚' || part === '晚上' || (part === '中午' && written < 11);
  const isMorning = half !== undefined || part !== undefined;
  const hours = isAfternoon && written < 12 ? written + 12 : half?.toLowerCase() === 'a' && written === 12 ? 0 : written;
  const isCertain = isAfternoon || isMorning || written > 12 || written === 0;
  return numberWord(`${hours}:${String(minutes).padStart(2, '0')}`, isCertain ? 'o’clock' : 'o’clock?', text);
}

function measured({ value = '', half1, unit = '', half }: Groups, text: string): Word | undefined {
  // 百, 千, 万 by themselves begin words: 百年, 万家.
  if (/^[百千万亿零]/u.test(value) && value.length === 1) return keepAsText;
  const amount = valueOf(value) + (half1 || half ? 0.5 : 0);
  if (value === '一' && /^[家部本口门期层首场道代]$/u.test(unit)) return keepAsText;
  return numberWord(String(amount), unitName(unit), text);
}

function englishDate({ day = '', month = '', year }: Groups, text: string): Word {
  const index = months.split('|').indexOf(month.toLowerCase()) + 1;
  return numberWord(`${year ?? ''}-${index}-${Number(day)}`, 'date', text);
}

function written({ currency, value = '', multiplier, unit }: Groups, text: string): Word {
  const amount = writtenNumber(value);
  const known = unit === undefined ? undefined : findUnit(unit);
  // 6s and 3d are names of things.
  if (
    amount === undefined ||
    (unit !== undefined &&
      known === undefined &&
      !/[\s-]/u.test(text) &&
      multiplier === undefined &&
      text.endsWith(unit) &&
      text === value + unit)
  )
    return keepAsText;
  const times = multiplier === undefined ? 1 : (multiplierOf(multiplier.replace(/s$/i, '')) ?? 1);
  return numberWord(String(amount * times), currency === undefined ? known : findUnit(currency.replace(/[.\s]/g, '')), text);
}

function spelt({ unit }: Groups, text: string): Word {
  let total = 0;
  let section = 0;
  for (const word of text.toLowerCase().split(/[ -]/)) {
    const value = englishNumber(word) ?? (word === 'one' ? 1 : undefined);
    const times = multiplierOf(word);
    if (value !== undefined) section += value;
    else if (times === 100) section = Math.max(1, section) * 100;
    else if (times !== undefined) {
      total += Math.max(1, section) * times;
      section = 0;
    }
  }
  return numberWord(String(total + section), unit === undefined ? undefined : findUnit(unit), text);
}

function valueOf(text: string): number {
  const mixed = /^(\d+(?:\.\d+)?)([百千万亿])$/u.exec(text);
  if (mixed) return Number(mixed[1]) * (chineseNumber(`一${mixed[2]}`) ?? 1);
  return writtenNumber(text) ?? chineseNumber(text) ?? Number.NaN;
}

function unitName(unit: string): string {
  return findUnit(unit) ?? (/^[个位只名人]$/u.test(unit) ? '个' : unit === '号' ? '日' : unit);
}
