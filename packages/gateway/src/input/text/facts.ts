/**
 * Finds in a text what must not be lost or changed: numbers, dates, names, negations and quotations. By form alone, so that it errs on
 * the side of finding too much: a sentence that is kept in vain costs tokens, one that goes costs an answer. Texts may be megabytes of
 * a client's: no pattern looks at a run of characters from each of its places, but from its first only, or no further than 64 of them.
 */
const numbers =
  /[+-]?\d+(?:[.,:/%-]\d+)*%?|(?<![零〇一二三四五六七八九十百千万亿两])[零〇一二三四五六七八九十百千万亿两]+(?=[年月日号点时分秒天周岁个只件位次元块米公里斤度层楼路班人台辆%％])|第[零一二三四五六七八九十百\d]+/gu;
const dates =
  /\b(?:jan(?:uary)?|feb(?:ruary)?|march|april|june|july|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?|monday|tuesday|wednesday|thursday|friday|saturday|sunday|today|tomorrow|yesterday|tonight|noon|midnight)\b|今天|明天|后天|昨天|前天|今晚|上午|下午|中午|凌晨|星期[一二三四五六日天]|周[一二三四五六日末]/giu;
const negations =
  /\b(?:not|no|never|none|nobody|nothing|neither|nor|without|cannot|except|unless|\p{L}{1,64}n['’]t)\b|[不没无未勿莫非别](?!错过)|除了|禁止/giu;
const quotations = /["“「『《`][^"“”「」『』《》`\n]{1,200}["”」』》`]/gu;
/** A capital inside a sentence, and words with capitals or digits in them: OpenAI, B-17. */
const latinNames =
  /(?<=[\p{Ll}\d,;:)]\s)\p{Lu}[\p{L}\p{M}'’-]+|\b\p{L}{0,64}\p{Ll}\p{Lu}\p{L}{0,64}\b|\b\p{Lu}{2,}\b|\b\p{Lu}[\p{L}'’-]{0,64}(?:\s\p{Lu}[\p{L}'’-]*)+|^\p{Lu}\p{Ll}+(?=\s(?:is|was|has|had|likes|lives|works|said|says|owns|keeps|bought|sold|met|wants)\b)/gmu;
/** A surname and one or two characters, before or after what goes with people; surnames that are common words only before a title. */
const chineseNames =
  /[王李张刘陈杨赵吴周徐孙朱胡郭何林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘蒋蔡余杜叶魏苏吕丁任沈姚卢姜崔钟谭陆汪范廖贾韦][\p{sc=Han}]{1,2}(?=[说的是在和与跟把给，、。,：:住买有要最喜去来叫]|先生|女士|老师|医生|经理|同学|师傅|$)|\p{sc=Han}{1,2}(?=先生|女士|老师|医生|经理|师傅)|[\p{sc=Han}]{2,4}(?:路|街|店|市|省|县|区|公司|大学|医院|银行|酒店|机场|车站)/gmu;

const kinds = [numbers, dates, negations, quotations, latinNames, chineseNames];

/** The facts of a text in a fixed order; equal lists mean that two texts say the same of these. */
export function factsOf(text: string): string[] {
  return kinds
    .flatMap((kind) => text.match(kind) ?? [])
    .map((fact) => fact.toLowerCase())
    .sort();
}

export function hasFacts(text: string): boolean {
  return kinds.some((kind) => text.search(kind) !== -1);
}
