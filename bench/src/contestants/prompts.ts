/** Ordinary Chinese; prompts are cut out of it at different places. */
const text =
  '清晨的城市刚刚醒来，街道两旁的早餐铺子冒着热气，赶路的人们匆匆走过。图书馆门口已经有人排队，他们想在安静的阅览室里读一整天的书。' +
  '河边的公园里，老人们打着太极拳，孩子们追着风筝奔跑，远处的钟楼敲响了八下。市场上，卖菜的农民把新摘的黄瓜和西红柿摆得整整齐齐，' +
  '一边和熟悉的顾客聊着天气，一边称着分量。到了中午，阳光照在玻璃幕墙上，写字楼里的年轻人走出来吃饭，讨论着下午的会议和周末的旅行。';

/** A prompt of `length` tokens; other variants begin elsewhere in the text. */
export function makePrompt(tokenize: (text: string) => readonly number[], length: number, variant: number): number[] {
  const tokens = tokenize(text);
  return Array.from({ length }, (_, index) => tokens[(variant + index) % tokens.length] as number);
}
