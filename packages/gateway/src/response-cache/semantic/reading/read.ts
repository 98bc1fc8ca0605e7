import { baseOf, contractions, functionWords, joints, negations, prepositions } from './english-words.ts';
import { personIn, readChinese } from './chinese.ts';
import { findNumbers, type NumberSpan } from './find-numbers.ts';
import { findMarks } from './marks.ts';
import { englishNumber } from './numerals.ts';
import { chineseQuestionTypes, englishQuestionTypes } from './question-types.ts';
import type { Person, QuestionType, Reading, Word } from './reading.ts';

/** Politeness around a question: it asks nothing. */
const frames: readonly RegExp[] = [
  /^\s*(?:hi|hello|hey|dear all|greetings)\b[\s,.!]*/i,
  /^\s*(?:please\s+)?(?:(?:can|could|would|will)\s+(?:you|anyone|someone|anybody|somebody)\s+(?:please\s+|kindly\s+)?)?(?:tell|let)\s+me(?:\s+know)?[\s,:]+(?=what|which|why|how|when|where|who|if|whether)/i,
  /^\s*(?:i\s+(?:just\s+)?(?:want|wanted|need|would\s+like)\s+to\s+(?:know|ask)|i\s+(?:was|am)\s+(?:just\s+)?wondering|may\s+i\s+ask|do\s+you\s+know|does\s+any(?:one|body)\s+know)\s*,?\s+(?=what|which|why|how|when|where|who|if|whether)/i,
  /[\s,]+(?:please|thanks|thank you)\s*[.!?]*\s*$/i,
  /^(?:你好|您好|请问|麻烦|打扰|我?想?(?:请?问)?一下|我想(?:知道|问|请问|了解)(?:一下)?|(?:请|你|您|能不能|可不可以|可否|能否|能|可以)*告诉我)[，,！!。\s]*(?:一下)?/u,
  /[，,\s]*(?:谢谢|多谢)[你您了]?[！!。.]*$/u,
];

const quotes =
  /"([^"\n]{1,500})"|“([^”]{1,500})”|「([^」]{1,500})」|『([^』]{1,500})』|《([^》]{1,500})》|```([\s\S]{1,4000}?)```|`([^`\n]{1,500})`/gu;
const token =
  /(?:https?:\/\/|www\.)\S+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|(?:\p{Script=Latin}\.){2,}|\.?[\p{Script=Latin}\p{N}_][\p{Script=Latin}\p{M}\p{N}_+#'’]*(?:[._/@:]+[\p{Script=Latin}\p{N}_]+)*|\p{Script=Han}[\p{Script=Han}·]*|[\p{L}\p{N}]+|[、]|[\p{S}%*@#&\\|/<>;^]+(?:[^\s\p{L}\p{N}]*[\p{S}%*@#&\\|/<>;^])?/gu;

const englishPersons: ReadonlyMap<string, Person> = new Map([
  ...'i me my mine myself we us our ours'.split(' ').map((word) => [word, 'I'] as const),
  ...'you your yours yourself'.split(' ').map((word) => [word, 'you'] as const),
  ...'he him his'.split(' ').map((word) => [word, 'he'] as const),
  ...'she her hers'.split(' ').map((word) => [word, 'she'] as const),
  ...'they them their theirs'.split(' ').map((word) => [word, 'they'] as const),
]);
const modals: readonly (readonly [string, RegExp])[] = [
  ['may', /^(?:can|could|may|might)$/],
  ['should', /^(?:should|ought|must)$/],
  ['will', /^(?:will|would|shall)$/],
];
const pastHelpers = /^(?:was|were|did|had)$/;

/** Reads a question, Chinese or English or mixed. Takes about as long as it is: 10 µs for a short one. */
export function readQuestion(text: string): Reading {
  const plain = frames
    .reduce(
      (rest, frame) => rest.replace(frame, ''),
      text
        .normalize('NFKC')
        .replace(/[\u200b\ufeff]/g, '')
        .replaceAll('’', "'"),
    )
    .trim();
  const quoted = [...plain.matchAll(quotes)]
    .map(
      (match) =>
        match
          .slice(1)
          .find((part) => part !== undefined)
          ?.replace(/\s+/g, ' ')
          .trim() ?? '',
    )
    .filter(Boolean);
  const expanded = contractions.reduce((rest, [from, to]) => rest.replace(from, to), plain);
  const numbers = findNumbers(expanded);
  const words = readWords(expanded, numbers);
  const questionTypes = [...englishQuestionTypes(expanded), ...chineseQuestionTypes(expanded)];
  const helpers = words.filter(({ kind }) => kind === 'function').map(({ text: written }) => written.toLowerCase());
  return {
    words,
    questionTypes: questionTypes.length > 0 ? questionTypes : ['none'],
    quoted,
    marks: findMarks(
      expanded,
      numbers.filter(({ word }) => word !== undefined),
    ),
    persons: personsOf(words, questionTypes),
    isPast: helpers.some((word) => pastHelpers.test(word)),
    modality: questionTypes.includes('how') ? undefined : modals.find(([, pattern]) => helpers.some((word) => pattern.test(word)))?.[0],
  };
}

function readWords(text: string, numbers: readonly NumberSpan[]): Word[] {
  const words: Word[] = [];
  let from = 0;
  for (const { start, end, word } of numbers) {
    words.push(...readPlain(text, from, start));
    if (word) words.push(word);
    from = end;
  }
  words.push(...readPlain(text, from, text.length));
  return endingPrepositions(words, text);
}

function readPlain(text: string, from: number, to: number): Word[] {
  const words: Word[] = [];
  const isShouting = !/\p{Ll}/u.test(text);
  for (const match of text.slice(from, to).matchAll(token)) {
    const [written] = match;
    if (/^\p{Script=Han}/u.test(written)) words.push(...readChinese(written));
    else words.push(...readLatin(written, opensSentence(text, from + match.index), isShouting));
  }
  return words;
}

function opensSentence(text: string, at: number): boolean {
  return /(?:^|[.?!:;。？！：；"“(])\s*$/u.test(text.slice(Math.max(0, at - 4), at));
}

function readLatin(written: string, isFirst: boolean, isShouting: boolean): Word[] {
  const lower = /^(?:\p{Script=Latin}\.){2,}$/u.test(written)
    ? written.replaceAll('.', '').toLowerCase()
    : written.toLowerCase().replace(/'+$/, '');
  if (joints.has(lower) || written === '、')
    return [{ base: written === '、' ? '和' : lower, text: written, kind: 'joint', isName: false }];
  if (negations.has(lower)) return [{ base: lower === 'cannot' ? 'not' : lower, text: written, kind: 'negation', isName: false }];
  if (!/[\p{L}\p{N}]/u.test(lower))
    return lower === ';' || lower === '/' ? [] : [{ base: lower, text: written, kind: 'content', isName: true }];
  // US, IT and WHO are no pronouns.
  const isAcronym = /^\p{Lu}{2,}$/u.test(written) && !isShouting;
  if (functionWords.has(lower) && !isAcronym) return [{ base: lower, text: written, kind: 'function', isName: false }];
  const roman = englishNumber(written);
  if (roman !== undefined && written === written.toUpperCase())
    return [{ base: String(roman), text: written, kind: 'number', isName: false }];
  const parts = /^(\p{Script=Latin}{2,})(\d+\w*)$/u.exec(lower);
  if (parts && !isFirst) return [name(parts[1] as string, written), name(parts[2] as string, written)];
  const isIdentifier = /[\d_@/#+]|[a-z][A-Z]|\w\.\w/.test(written);
  const isCapital = /^\p{Lu}/u.test(written) && (!isFirst || /^\p{Lu}{2,}/u.test(written));
  return [{ base: isIdentifier ? lower : baseOf(lower), text: written, kind: 'content', isName: isIdentifier || isCapital }];
}

function name(base: string, text: string): Word {
  return { base, text, kind: 'content', isName: true };
}

/** What is it, and what is it for: a preposition with nothing behind it counts, and so does what it does. */
function endingPrepositions(words: readonly Word[], text: string): Word[] {
  const last = words.at(-1);
  if (!last || last.kind !== 'function' || !(prepositions.has(last.base) || last.base === 'do') || !/[a-z]\W*$/i.test(text))
    return [...words];
  return [...words.slice(0, -1), { ...last, kind: 'content' }];
}

/** How I do it is how you do it; whose it is stays. */
function personsOf(words: readonly Word[], types: readonly QuestionType[]): ReadonlySet<Person> {
  const isGeneric = types.length > 0 && types.every((type) => type === 'how' || type === 'how-many' || type === 'how-long');
  const persons = new Set<Person>();
  for (const { text, kind } of words) {
    if (kind !== 'function') continue;
    const lower = text.toLowerCase();
    const person = englishPersons.get(lower) ?? personIn(text);
    if (person && !(isGeneric && /^(?:i|you|we|我|我们|你|您|咱|咱们)$/.test(lower))) persons.add(person);
  }
  return persons;
}
