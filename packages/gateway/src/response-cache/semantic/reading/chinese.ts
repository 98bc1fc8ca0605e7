import type { Person, Word } from './reading.ts';

const segmenter = new Intl.Segmenter('zh', { granularity: 'word' });

const words = (text: string): ReadonlySet<string> => new Set(text.split(/\s+/).filter(Boolean));

/** Words that say how something is asked. Those of which one character decides (不, 没) are not among them. */
const functionWords = words(`
  的 地 得 着 了 过 吗 呢 吧 啊 呀 嘛 哦 么 的话 是 在 有 为 把 被 给 对 就 都 也 还 又 才 便 而 且 并 并且 所 之 其 此 这 那 这个 那个 这些 那些 这样 那样 它 它们
  能 能够 可以 会 要 想 想要 需要 应该 该 得以 一下 个 们 请 问 请问 什么 怎么 如何 怎样 怎么样 为什么 为何 哪 哪个 哪些 哪里 哪儿 谁 何时 什么时候 多少 几 多久 是否 啥 呗 于 以 由 因 从而 则 将 到
  我 我们 咱 咱们 你 您 你们 他 他们 她 她们 自己 人家 某 每 各 很 非常 十分 比较 最近 真的 到底 究竟 大概 进行 关于 有关 呢吗 办 做 弄 用 使用 通过
`);

const joints = words('和 与 跟 或 或者 还是 及 以及 同');

/** Words that hold a character of negation and negate nothing, and questions that ask by denying (是不是). */
const noNegation =
  /不过|不仅|不但|不光|不只|不同|不错|不得不|不论|不管|不断|差不多|对不起|不好意思|了不起|不久|不禁|要不要|(.)不\1|有没有|没准|无论|无锡|无线|别人|别的|别墅|别克|特别|区别|级别|性别|类别|分别|识别|鉴别|告别|离别|差别|个别|辨别|派别|国别|别致|别名|别称|别样|未来|未婚|非洲|非常|除非|非遗|莫非|莫斯科|莫扎特|莫名|否则|是否|能否|可否/gu;
const negation = /不|没有|没|无|别|未|非|勿|莫/u;

const synonymLines = `如何 怎样
  购买 买
  预约 预订 预定 订
  修理 维修 修
  电影 影片
  目前 现在 如今 当前
  父亲 爸爸 爸
  母亲 妈妈 妈
  自行车 单车
  出租车 的士 计程车
  方法 办法 方式
  原因 理由 缘故
  开始 起始
  区别 差别 不同 差异
  便宜 廉价
  非常 十分 很
  大约 大概 约
  位于 坐落于 坐落
  今天 今日
  明天 明日
  昨天 昨日
  手机 移动电话
  好处 益处 优点
  坏处 害处 缺点
  减肥 瘦身
  价格 价钱 多少钱
  推荐 介绍`;
const synonymOf: ReadonlyMap<string, string> = new Map(
  synonymLines.split('\n').flatMap((line) => {
    const [first = '', ...others] = line.trim().split(' ');
    return others.map((other) => [other, first] as const);
  }),
);

/** Endings of places and of what is called by a name. */
const nameEnding = /.[省市县区镇乡村路街道桥站港湾岛湖河江山峰寺塔宫园馆院校司店厂国洲州郡岭关]$/u;
const surnames =
  '欧阳|司马|诸葛|上官|[王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤]';
const surname = new RegExp(`^(?:${surnames})\\p{Script=Han}{1,2}$`, 'u');
const surnameAlone = new RegExp(`^(?:${surnames})$`, 'u');

const personOf: ReadonlyMap<string, Person> = new Map([
  ['我', 'I'],
  ['我们', 'I'],
  ['咱', 'I'],
  ['咱们', 'I'],
  ['你', 'you'],
  ['您', 'you'],
  ['你们', 'you'],
  ['他', 'he'],
  ['她', 'she'],
  ['他们', 'they'],
  ['她们', 'they'],
] as const);

/** The words of a run of Chinese characters, as ICU's dictionary cuts it. */
export function readChinese(run: string): Word[] {
  const harmless = negationFree(run);
  const found: Word[] = [];
  for (const { segment, index } of segmenter.segment(run)) {
    for (const piece of splitNegation(segment, harmless.slice(index, index + segment.length))) found.push(...toWords(piece));
  }
  return found.map((word, index) => (isOfName(found, index) ? { ...word, isName: true } : word));
}

/** A name that the dictionary does not know falls into its characters: 张 and 伟. */
function isOfName(words: readonly Word[], index: number): boolean {
  const isSingle = (at: number) => words[at]?.kind === 'content' && words[at]?.text.length === 1;
  const begins = (at: number) => words[at]?.kind === 'content' && surnameAlone.test(words[at]?.text ?? '') && isSingle(at + 1);
  return begins(index) || (isSingle(index) && begins(index - 1));
}

export function personIn(word: string): Person | undefined {
  return personOf.get(word);
}

/** The text with what negates nothing blanked. */
function negationFree(run: string): string {
  return run.replace(noNegation, (found) => '□'.repeat(found.length));
}

/** 不能 is 不 and 能: the dictionary keeps some of them together. */
function splitNegation(segment: string, harmless: string): { text: string; isNegation: boolean }[] {
  const match = negation.exec(harmless);
  if (!match) return [{ text: segment, isNegation: false }];
  const end = match.index + match[0].length;
  const rest = end < segment.length ? splitNegation(segment.slice(end), harmless.slice(end)) : [];
  return [
    ...(match.index > 0 ? [{ text: segment.slice(0, match.index), isNegation: false }] : []),
    { text: match[0], isNegation: true },
    ...rest,
  ];
}

function toWords({ text, isNegation }: { text: string; isNegation: boolean }): Word[] {
  if (isNegation) return [{ base: '不', text, kind: 'negation', isName: false }];
  if (joints.has(text)) return [{ base: '和', text, kind: 'joint', isName: false }];
  const owner = /^(.+)的$/u.exec(text)?.[1];
  if (owner !== undefined && functionWords.has(owner))
    return [...toWords({ text: owner, isNegation }), { base: '的', text: '的', kind: 'function', isName: false }];
  if (functionWords.has(text)) return [{ base: synonymOf.get(text) ?? text, text, kind: 'function', isName: false }];
  return [{ base: synonymOf.get(text) ?? text, text, kind: 'content', isName: nameEnding.test(text) || surname.test(text) }];
}
