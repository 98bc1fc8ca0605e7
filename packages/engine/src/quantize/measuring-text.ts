/** A text in a language, on which a quantized model is compared with its source. */
export interface MeasuringText {
  readonly name: string;
  readonly text: string;
}

/** Written for this purpose: plain prose on everyday things, in both languages, with numbers and some code-like words. */
export const measuringTexts: readonly MeasuringText[] = [
  {
    name: 'zh',
    text: `春天的早晨，街角的面包店六点钟就开门了。老板姓陈，今年五十三岁，做面包已经三十年。他说，好的面团不能着急，温度高一度或者低一度，发酵的时间就差很多。冬天要等四个小时，夏天两个小时就够了。
店里最受欢迎的是一种加了核桃和红枣的全麦面包，每天只烤八十个，不到中午就卖完了。附近学校的老师常常提前打电话预订，陈师傅会把他们的名字写在小纸条上，贴在柜台后面的墙上。
有一次，一位客人问他为什么不开分店。他想了想，回答说：“一个人只有两只手，一家店也只有一个早晨。我要是同时在两个地方，两边的面包都不会好吃。”
下雨的时候，街上的行人少了，他就坐在窗边看书，等烤箱的铃声响起。面包的香味从门缝里飘出去，路过的人总会停下来，往里面看一眼。`,
  },
  {
    name: 'en',
    text: `The lighthouse stands at the end of a narrow road that floods twice a day. Anyone who wants to visit must read the tide tables first, because the water rises faster than most people expect: in less than forty minutes the road is gone, and the next chance to leave comes six hours later.
The last keeper retired in 1987, when the lamp was connected to a computer on the mainland. She left behind a shelf of notebooks in which she had recorded the wind, the temperature and the number of ships that passed each night. A group of students is now copying these numbers into a database. They found that the storms of the early sixties were stronger than the official records say, and that she had been right to complain about it.
What surprised them most was how little she wrote about herself. Only once, on the first of January, does a line begin with the word "I". It says: "I have counted everything again, and nothing is missing."`,
  },
];
