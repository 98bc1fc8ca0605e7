import type { QuestionType } from './reading.ts';

const chinese: readonly (readonly [RegExp, QuestionType])[] = [
  [/为什么|为何|为啥|什么原因|什么理由|怎么会|干嘛|凭什么/u, 'why'],
  [/什么时候|什么时间|何时|几点|几号|几月|哪天|哪一天|哪年|哪一年|啥时候|多会儿/u, 'when'],
  [/哪里|哪儿|何处|什么地方|哪个地方|什么位置/u, 'where'],
  [/多久|多长时间|多少时间|几天|几年|几个小时|几个月/u, 'how-long'],
  [/多少|几[个位只条张件次块元本辆台家]/u, 'how-many'],
  [/多远/u, 'how-far'],
  [/多大年纪|多大岁数|几岁/u, 'how-old'],
  [/多[大高长宽重深厚快]/u, 'how-degree'],
  [/谁|什么人|哪位|何人/u, 'who'],
  [/怎么样|怎样$|如何$/u, 'how-degree'],
  [/怎么|如何|怎样|咋/u, 'how'],
  [/什么|哪个|哪些|哪种|哪家|哪款|哪部|哪|啥|何/u, 'what'],
  [/吗|是否|能否|可否|有没有|(.)不\1|没有[？?]?$/u, 'yes-no'],
];

/** What the Chinese part of a text asks; the closest, where several fit. */
export function chineseQuestionTypes(text: string): QuestionType[] {
  const found = chinese.find(([pattern]) => pattern.test(text));
  return found ? [found[1]] : [];
}

const helpers = /^(?:is|are|am|was|were|do|does|did|has|have|had|can|could|may|might|shall|should|will|would|must)$/;
const plainHow = /^(?:to|is|are|am|was|were|do|does|did|has|have|had|can|could|may|might|shall|should|will|would|must|you|i|we|one|not)$/;
const byHow: Readonly<Record<string, QuestionType>> = {
  many: 'how-many',
  much: 'how-many',
  long: 'how-long',
  far: 'how-far',
  old: 'how-old',
  often: 'how-often',
  come: 'why',
};

/** What each sentence of an English text asks. */
export function englishQuestionTypes(text: string): QuestionType[] {
  return text
    .toLowerCase()
    .split(/[.?!;]+(?:\s|$)/)
    .flatMap((sentence) => {
      const words = sentence.match(/[a-z']+/g) ?? [];
      return words.flatMap((_, index): QuestionType[] => {
        // Later ones ask only where they open a part of their own: people who … is no question.
        const opens =
          index === 0 ||
          !/[a-z]/.test(words.slice(0, index).join('')) ||
          /^(?:and|or|if|then)$/.test(words[index - 1] as string) ||
          isFirstAsking(words, index);
        return opens ? typeAt(words, index) : [];
      });
    });
}

function isFirstAsking(words: readonly string[], index: number): boolean {
  return isAsking(words[index] as string) && !words.slice(0, index).some(isAsking) && !helpers.test(words[0] as string);
}

function isAsking(word: string): boolean {
  return /^(?:what|which|why|how|when|where|who|whom|whose)$/.test(word);
}

function typeAt(words: readonly string[], index: number): QuestionType[] {
  const [word = '', next = '', third = '', fourth = ''] = words.slice(index, index + 4);
  if (index === 0 && helpers.test(word)) return ['yes-no'];
  if (word === 'how')
    return [Object.hasOwn(byHow, next) ? (byHow[next] as QuestionType) : plainHow.test(next) || next === '' ? 'how' : 'how-degree'];
  if (word === 'what' || word === 'which') {
    if (next === 'time' || (next === 'year' && word === 'which')) return ['when'];
    if (third === 'the' && fourth === 'reason') return ['why'];
    return ['what'];
  }
  if (word === 'who' || word === 'whom') return ['who'];
  return isAsking(word) ? [word as QuestionType] : [];
}
