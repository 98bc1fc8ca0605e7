import { countOf, damped, lengthMax, matchesOf, numbersOf, wordsOf } from './text-shape.ts';

const numberWords = new Set(
  'one two three four five six seven eight nine ten eleven twelve twenty thirty hundred thousand million half third quarter twice double triple dozen 一 二 三 四 五 六 七 八 九 十 百 千 万 半 两 倍'.split(
    ' ',
  ),
);
const ratioWords = new Set(
  'half third thirds quarter quarters fifth fourth tenth percent percentage ratio average mean rate 半 比 率 均 成'.split(' '),
);
const comparingWords = new Set('than more less fewer times twice double triple as older younger longer shorter 比 更 倍 多 少'.split(' '));
const eachWords = new Set('each every per 每 各'.split(' '));
const conditionWords = new Set(
  'if but only except instead unless after before however already until when assuming 若 但 只 除 之前 之后'.split(' '),
);
const restWords = new Set('remaining left rest remainder remains total altogether combined 剩 共 总'.split(' '));
const timeWords = new Set(
  'second seconds minute minutes hour hours day days week weeks month months year years 秒 分 时 天 周 月 年'.split(' '),
);
const questionWords = new Set('what which who whom whose when where why how 什 哪 谁 何 几 吗 怎'.split(' '));
const negations = new Set("not no never none neither nor cannot can't doesn't isn't false 不 没 无 非 未".split(' '));
const reasonWords = new Set(
  'prove explain derive compare analyse analyze why therefore because implies consider following statement 证 解 释 析 因'.split(' '),
);

/**
 * What can be said of a question's difficulty before anybody answers it, by name: how long it is, how many things it holds, and how
 * they hang together. Costs some microseconds for each hundred words; nothing here is of one language alone, except the lists of words.
 */
export function promptFeatures(prompt: string): Readonly<Record<string, number>> {
  const text = prompt.slice(0, lengthMax);
  const words = wordsOf(text);
  const numbers = numbersOf(text);
  const sentences = text.split(/[.?!。？！]\s*(?=\S|$)/u).length;
  return {
    characters: damped(prompt.length),
    words: damped(words.length),
    sentences: damped(sentences),
    words_a_sentence: damped(words.length / sentences),
    letters_a_word: words.reduce((sum, word) => sum + word.length, 0) / Math.max(1, words.length),
    numbers: damped(numbers.length),
    number_words: damped(countOf(words, numberWords)),
    distinct_numbers: damped(new Set(numbers).size),
    decimals: damped(matchesOf(text, /\d\.\d/g)),
    largest_number: Math.log10(1 + Math.min(1e12, Math.max(0, ...numbers.slice(0, 256)))),
    fractions: damped(matchesOf(text, /\d\/\d/g) + countOf(words, ratioWords)),
    percents: damped(matchesOf(text, /%/g)),
    money: damped(matchesOf(text, /[$€£¥￥元]/g)),
    operators: damped(matchesOf(text, /[=+*^<>×÷√∑∫]/g)),
    comparisons: damped(countOf(words, comparingWords)),
    each: damped(countOf(words, eachWords)),
    conditions: damped(countOf(words, conditionWords)),
    rest: damped(countOf(words, restWords)),
    times: damped(countOf(words, timeWords)),
    questions: damped(countOf(words, questionWords) + matchesOf(text, /[?？]/g)),
    negations: damped(countOf(words, negations)),
    reasons: damped(countOf(words, reasonWords)),
    clauses: damped(matchesOf(text, /[,;:，；：、]/g)),
    names: damped(matchesOf(text, /(?<=[\p{L},] )\p{Lu}\p{Ll}+/gu)),
    lines: damped(matchesOf(text, /\n/g)),
    code: damped(matchesOf(text, /[{}[\]\\_|#]/g)),
  };
}
