import type { PromptSegment } from '@open-autoglm/protocol';

export interface Message {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** One fact, the question whose answer it is, and what the answer must hold. */
export interface Planted {
  readonly fact: string;
  /** Asks in the fact's own words. */
  readonly question: string;
  readonly answer: string;
  /** How an answer begins that ends in one of the choices. */
  readonly beginning: string;
  /** The answer and three others. */
  readonly choices: readonly string[];
}

const people = ['王芳', '李强', '张敏', '刘洋', '陈静', '赵磊', '周婷', '吴刚'];
const things = ['钢琴', '帆船', '望远镜', '自行车', '照相机', '小提琴', '显微镜', '热气球'];

export function plantedFact(turn: number): Planted {
  const person = people[turn % people.length] as string;
  const answer = things[(turn * 3 + 1) % things.length] as string;
  const others = things.filter((thing) => thing !== answer);
  const choices = [answer, ...[0, 1, 2].map((step) => others[(turn * 2 + step) % others.length] as string)];
  return {
    fact: `${person}最喜欢的东西是${answer}。`,
    question: `请问，${person}最喜欢的东西是什么？`,
    answer,
    beginning: `${person}最喜欢的东西是`,
    choices,
  };
}

/** Asks for a fact in none of its words. */
export const vagueQuestion = '回想一下我们聊过的那位朋友，说说那件心爱之物。';

const scenes = [
  '街角的面包店很早就开门了',
  '孩子们在草地上放风筝',
  '河边的柳树已经发芽',
  '图书馆里很安静',
  '卖鱼的人大声地叫着价钱',
  '火车在山谷里慢慢地走',
  '窗外是一片一片的稻田',
  '老人坐在门前晒太阳',
  '雨停以后空气很清新',
  '远处传来教堂的钟声',
];
const places = ['市场旁边', '小桥那头', '山坡上', '车站后面', '村子东头', '码头附近', '学校门口', '果园里'];
const moods = ['大家都很高兴', '谁也不着急', '路过的人总会停下来看看', '这样的景色让人难忘', '一切都和往常一样', '只听得见风声'];

/** Sentences that each say something else, though not much, and again after 120; in none of another `label`. */
export function filler(count: number, from = 0, label = ''): string {
  return Array.from({ length: count }, (_, at) => {
    const index = from + at;
    return `${label}${places[(index * 5) % places.length]}，${scenes[(index * 3) % scenes.length]}，${moods[(index * 7) % moods.length]}。`;
  }).join('');
}

/** Where a fact stands in a conversation of many turns, and how it is asked for. */
export const fitPlaces = [
  'in the instructions',
  'in the turn before the question',
  'in an old turn, asked for in its words',
  'in an old turn, asked for in other words',
  'in a line like sixty others, asked for by its name',
  'said five times, asked for in other words',
] as const;
export type FitPlace = (typeof fitPlaces)[number];

/** A conversation of about 4,000 tokens of the default model, whose long messages share no sentence with those of another place or turn. */
export function conversation(place: FitPlace, turn: number, turns = 12): { readonly messages: Message[]; readonly planted: Planted } {
  const planted = plantedFact(turn);
  const where: Readonly<Record<FitPlace, number>> = {
    'in the instructions': -1,
    'in the turn before the question': turns - 1,
    'in an old turn, asked for in its words': 2 + (turn % 4),
    'in an old turn, asked for in other words': 2 + (turn % 4),
    'in a line like sixty others, asked for by its name': 3,
    'said five times, asked for in other words': 3,
  };
  const isVague = place.endsWith('other words');
  const list = Array.from(
    { length: 60 },
    (_, line) => `登记：${line === 30 ? planted.fact : `柜子里第${line}格放着第${line}号箱子。`}\n`,
  ).join('');
  const messages: Message[] = [{ role: 'system', content: `你是一个助手。${place === 'in the instructions' ? planted.fact : ''}` }];
  for (let index = 0; index < turns; index += 1) {
    const text = filler(place.includes('sixty') && index === 3 ? 1 : 12, index * 12 + turn, `${fitPlaces.indexOf(place)}${turn}号`);
    const isHere = index === where[place];
    const fact = !isHere ? '' : place.includes('sixty') ? `\n${list}` : place.startsWith('said') ? planted.fact.repeat(5) : planted.fact;
    messages.push(
      { role: 'user', content: text.slice(0, text.length / 2) + fact + text.slice(text.length / 2) },
      { role: 'assistant', content: '好的，我知道了。' },
    );
  }
  messages.push({ role: 'user', content: isVague ? vagueQuestion : planted.question });
  return { messages, planted };
}

/** What prompts for compression are like. */
export const compressionTexts = ['prose', 'repetitive mails'] as const;
export type CompressionText = (typeof compressionTexts)[number];

/** About 1,200 tokens with facts planted in them, and one question. */
export function factsIn(
  kind: CompressionText,
  turn: number,
): { readonly messages: Message[]; readonly planted: Planted; readonly facts: readonly string[] } {
  const own = people.map((_, index) => plantedFact(index));
  const planted = own[turn % own.length] as Planted;
  const body =
    kind === 'prose'
      ? own.map(({ fact }, index) => filler(7, turn + index * 7) + fact).join('')
      : own
          .map(
            ({ fact }) =>
              `尊敬的客户，感谢您一直以来对我们商店的支持，您的订单已经交给快递公司，预计很快就会送到您的手中。${fact}如果您有任何问题，请随时联系我们的客服，我们会尽快为您解答，祝您生活愉快。\n`,
          )
          .join('');
  return {
    messages: [
      { role: 'user', content: body },
      { role: 'assistant', content: '好的，我知道了。' },
      { role: 'user', content: planted.question },
    ],
    planted,
    facts: own.map(({ fact }) => fact),
  };
}

/** Ten documents of about 300 tokens; each round has others, so that nothing of them is in a cache. */
export function documents(round: number): { readonly text: string; readonly title: string }[] {
  return Array.from({ length: 10 }, (_, index) => ({ title: `第${index}篇`, text: filler(12, index * 31, `${round}号`) }));
}

export function textOfPrompt(segments: readonly PromptSegment[]): string {
  return segments.map(({ text }) => text).join('');
}
