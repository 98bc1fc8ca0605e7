import { checkArithmetic } from './arithmetic.ts';
import { countOf, damped, lengthMax, matchesOf, numbersOf, wordsOf } from './text-shape.ts';

const hedges = new Set(
  "however but assume assuming since cannot can't actually not unclear unknown unless maybe perhaps possibly sorry although 但 不 可能 也许 抱 假".split(
    ' ',
  ),
);

/**
 * What an answer shows of itself, beside its question: whether it uses what was given, whether its sums are right, whether it
 * hesitates, how it ends. None of this needs a model, and each alone says little.
 */
export function answerFeatures(prompt: string, answer: string): Readonly<Record<string, number>> {
  const text = answer.slice(0, lengthMax).trim();
  const given = new Set(numbersOf(prompt.slice(0, lengthMax)));
  const said = numbersOf(text);
  const saidSet = new Set(said);
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const lastLine = lines.at(-1)?.trim() ?? '';
  const last = said.at(-1);
  const { count, wrong } = checkArithmetic(text);
  const unused = [...given].filter((number) => !saidSet.has(number)).length;
  const words = wordsOf(text);
  return {
    answer_characters: damped(answer.length),
    answer_lines: damped(lines.length),
    answer_longest_line: damped(Math.max(0, ...lines.slice(0, 256).map((line) => line.length))),
    answer_words_a_number: damped(words.length / Math.max(1, said.length)),
    equations: damped(count),
    equations_wrong: damped(wrong),
    single_step: Number(count <= 2),
    steps_a_given: damped(count / Math.max(1, given.size)),
    given_unused: damped(unused),
    given_unused_share: unused / Math.max(1, given.size),
    numbers_new: damped([...saidSet].filter((number) => !given.has(number)).length),
    answer_decimals: damped(matchesOf(text, /\d\.\d/g)),
    last_is_fraction: Number(last !== undefined && !Number.isInteger(last)),
    last_is_given: Number(last !== undefined && given.has(last)),
    last_is_small: Number(last !== undefined && last <= 2),
    last_number: Math.log10(1 + Math.min(1e12, last ?? 0)),
    last_line_is_short: Number(lastLine.length <= 24 && /\d/.test(lastLine)),
    last_line: damped(lastLine.length),
    has_no_number: Number(last === undefined),
    negative: Number(/(?:^|[\s=$(])-\d/.test(text)),
    hedges: damped(countOf(words, hedges)),
    answer_questions: damped(matchesOf(text, /[?？]/g)),
    answer_ends: Number(/[\d.!?。！？)\]}"'`%$]$/u.test(text)),
  };
}
