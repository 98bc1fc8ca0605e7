import { EndedEarlyError, type Contestant, type DecodeTask } from './contestant.ts';

/** Ordinary Chinese, cut at other places for each sequence. */
const text =
  '清晨的城市刚刚醒来，街道两旁的早餐铺子冒着热气，赶路的人们匆匆走过。图书馆门口已经有人排队，他们想在安静的阅览室里读一整天的书。' +
  '河边的公园里，老人们打着太极拳，孩子们追着风筝奔跑，远处的钟楼敲响了八下。市场上，卖菜的农民把新摘的黄瓜和西红柿摆得整整齐齐，' +
  '一边和熟悉的顾客聊着天气，一边称着分量。到了中午，阳光照在玻璃幕墙上，写字楼里的年轻人走出来吃饭，讨论着下午的会议和周末的旅行。';

const attemptsMax = 20;

/** So many prompts of `length` tokens, none like another in its first tokens; `variant` chooses other ones. */
export function makePrompts(tokenize: (text: string) => number[], count: number, length: number, variant: number): number[][] {
  const tokens = tokenize(text);
  return Array.from({ length: count }, (_, sequence) => {
    const offset = (variant * 31 + sequence * 7) % tokens.length;
    return Array.from({ length }, (_, index) => tokens[(offset + index) % tokens.length] as number);
  });
}

/** The first prompts for which the model goes on for all the steps; an answer that ends early would leave a smaller batch. */
export async function chooseTask(contestant: Contestant, steps: number, promptsOf: (variant: number) => number[][]): Promise<DecodeTask> {
  for (let variant = 0; variant < attemptsMax; variant += 1) {
    const task = { prompts: promptsOf(variant), steps };
    try {
      await contestant.decode(task);
      return task;
    } catch (error) {
      if (!(error instanceof EndedEarlyError)) throw error;
    }
  }
  throw new Error(`The model ended an answer within ${steps} tokens for each of ${attemptsMax} sets of prompts; it is too short-spoken for this suite.`);
}
