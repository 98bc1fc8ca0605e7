import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readQuestion } from '../../../src/response-cache/semantic/reading/read.ts';
import { findDifference } from '../../../src/response-cache/semantic/rules/index.ts';
import { compareWording } from '../../../src/response-cache/semantic/rules/wording.ts';

type Pair = readonly [a: string, b: string];

const difference = (a: string, b: string) => findDifference(readQuestion(a), readQuestion(b));
const wording = (a: string, b: string) => compareWording(readQuestion(a), readQuestion(b));

/** By what they must be told apart, whatever else differs. */
const different: Readonly<Record<string, readonly Pair[]>> = {
  numbers: [
    ['How do I prepare for the JEE in 3 months?', 'How do I prepare for the JEE in 6 months?'],
    ['What is new in version 4.2?', 'What is new in version 4.0?'],
    ['How far is 5 km?', 'How far is 5 miles?'],
    ['How much is 1,000 dollars?', 'How much is 10,000 dollars?'],
    ['What can two people cook?', 'What can three people cook?'],
    ['What happened in 2015?', 'What happened in 2016?'],
    ['Is 20% enough?', 'Is 20 enough?'],
    ['Meet at 3pm', 'Meet at 3am'],
    ['The second floor or World War II?', 'The second floor or World War III?'],
    ['What happened on May 3, 2016?', 'What happened on May 4, 2016?'],
    ['明天三点洗车', '明天四点洗车'],
    ['明天下午三点洗车', '明天上午三点洗车'],
    ['下午3点半去店里', '下午3点去店里'],
    ['一共两百五十块', '一共三百五十块'],
    ['第三章讲什么', '第四章讲什么'],
    ['周一有空吗', '周二有空吗'],
    ['百分之三十的人', '百分之五十的人'],
    ['5月3日的天气', '5月4日的天气'],
    ['要两个人的座位', '要一个人的座位'],
    ['三公里有多远', '三英里有多远'],
    ['2016年的票房', '2017年的票房'],
    ['半小时够吗', '一小时够吗'],
    ['How heavy is 1,5 kg?', 'How heavy is 15 kg?'],
    ['What is the sum of 1,2,3?', 'What is the sum of 123?'],
  ],
  negations: [
    ['Can I eat eggs?', "Can't I eat eggs?"],
    ['Why is it legal?', 'Why is it not legal?'],
    ['How do I open it with a key?', 'How do I open it without a key?'],
    ['Is it ever safe?', 'Is it never safe?'],
    ['What can I do in India but not in China?', 'What can I not do in India but in China?'],
    ['Which animals have teeth?', 'Which animals have no teeth?'],
    ['Everyone except John may go', 'Everyone and John may go'],
    ['我能喝咖啡吗', '我不能喝咖啡吗'],
    ['店里有车位吗', '店里没有车位吗'],
    ['你去过北京', '你没去过北京'],
    ['请关窗', '请别关窗'],
    ['已经付款的订单', '未付款的订单'],
    ['今天无风', '今天有风'],
    ['会员不能退款但是可以换货', '会员可以退款但是不能换货'],
  ],
  'quoted text': [
    ['What does "right" mean?', 'What does "left" mean?'],
    ['Who wrote 《红楼梦》?', 'Who wrote 《西游记》?'],
    ['「晴」怎么读', '「雨」怎么读'],
    ['Explain `a.map(f)`', 'Explain `a.filter(f)`'],
  ],
  'type of question': [
    ['Why does the sky change colour?', 'How does the sky change colour?'],
    ['When was the bridge built?', 'Where was the bridge built?'],
    ['Who is the father of Cinderella?', 'Where is the father of Cinderella?'],
    ['How many books are there?', 'What books are there?'],
    ['How long is the river?', 'How far is the river?'],
    ['Is the shop open?', 'When is the shop open?'],
    ['What is the best MP3 player?', 'What is the best MP3 player? Why?'],
    ['为什么要洗车', '怎么洗车'],
    ['什么时候洗车', '在哪里洗车'],
    ['谁在洗车', '什么时候洗车'],
    ['洗车要多久', '洗车要多少钱'],
    ['洗车好吗', '洗车怎么样'],
  ],
  tense: [['What is the capital of Germany?', 'What was the capital of Germany?']],
  modality: [['Can I take aspirin?', 'Should I take aspirin?']],
  person: [
    ['Where is my car?', 'Where is your car?'],
    ['Is he right?', 'Is she right?'],
    ['我的车在店里吗', '你的车在店里吗'],
  ],
  marks: [
    ['What is -3 + 2?', 'What is 3 + 2?'],
    ['What is 2*(3+4)?', 'What is 2*3+4?'],
    ['How hot is -40°C in Fahrenheit?', 'How hot is 40°C in Fahrenheit?'],
    ['Is a != b?', 'Is a = b?'],
    ['What is .5 + 1?', 'What is 5 + 1?'],
    ['What is 4!?', 'What is 4?'],
    ['How much is 1/2?', 'How much is 1 2?'],
    ["How long is 5' in cm?", 'How long is 5" in cm?'],
    ['What does :) mean?', 'What does :( mean?'],
    ['What is 2^-3?', 'What is 2^3?'],
    ['今天气温-5度', '今天气温5度'],
  ],
  names: [
    ['How do I get to Miami?', 'How do I get to Boston?'],
    ['Is Google a good employer?', 'Is Amazon a good employer?'],
    ['How do I call getUser?', 'How do I call getOrder?'],
    ['What does ~ mean in C++?', 'What does % mean in C++?'],
    ['北京市的天气', '天津市的天气'],
    ['张伟明天来吗', '李娜明天来吗'],
    ['iPhone 6s 的电池', 'iPhone 7s 的电池'],
  ],
  'order of words': [
    ['Is Python better than Java?', 'Is Java better than Python?'],
    ['How do I convert toluene into benzene?', 'How do I convert benzene into toluene?'],
    ['What do Croats think of Turks?', 'What do Turks think of Croats?'],
    ['Flights from Paris to London', 'Flights from London to Paris'],
    ['从上海到北京的火车', '从北京到上海的火车'],
    ['猫比狗聪明吗', '狗比猫聪明吗'],
  ],
  'points elsewhere': [
    ['How does this circuit work?', 'How does this circuit work'],
    ['What is the output of the following program?', 'What is the output of the following program ?'],
    ['这个怎么修', '这个怎么修？'],
    ['What is the solution below?', 'What is the solution below'],
  ],
};

const same: readonly (readonly [...Pair, ReturnType<typeof compareWording>])[] = [
  ['How do I learn the guitar?', 'how do i learn guitar', 'same-text'],
  ['What is the capital of France?', "What's the capital of France", 'same-text'],
  ['How can I learn guitar?', 'How do I learn guitar?', 'same-text'],
  ['How can a car fly?', 'How does a car fly?', 'same-words'],
  ['Please tell me how I can learn French.', 'How can I learn French?', 'same-words'],
  ['How can I make money with Tumblr?', 'How do you make money using Tumblr?', 'same-words'],
  ['Which movie should I watch?', 'Which films should I watch?', 'same-words'],
  ['What is the difference between Linux and Unix?', 'What is the difference between Unix and Linux?', 'same-words'],
  ['Meet me at 15:00', 'Meet me at 3 pm', 'same-words'],
  ['How do I lose twenty pounds?', 'How do I lose 20 lbs?', 'same-words'],
  ['How do I speed up my computer?', 'How do I speed up my old computer?', 'one-word'],
  ['Hello, what is a state-of-the-art model?', 'what is a state-of-the-art model', 'same-text'],
  ['Who lived from 2001-02-03 on?', 'Who lived from 2001/2/3 on?', 'same-words'],
  ['Is 1,000 more than 999 ?', 'is 1000 more than 999', 'same-words'],
  ['请问怎么预约洗车？', '怎么预约洗车', 'same-text'],
  ['怎么预约洗车', '如何预订洗车', 'same-words'],
  ['明天下午三点洗车', '明天下午3点钟洗车', 'same-words'],
  ['苹果和梨有什么区别', '梨和苹果有什么区别', 'same-words'],
  ['你能不能告诉我怎么洗车', '怎么洗车', 'same-text'],
];

describe('two questions that look alike', () => {
  for (const [reason, pairs] of Object.entries(different)) {
    for (const [a, b] of pairs) {
      it(`differ by ${reason}: ${a} ${b}`, () => {
        expect(difference(a, b)).toBe(reason);
        expect(difference(b, a)).toBe(reason);
      });
    }
  }
  for (const [a, b, expected] of same) {
    it(`ask the same: ${a} ${b}`, () => {
      expect(difference(a, b)).toBeUndefined();
      expect([wording(a, b), wording(b, a)]).toEqual([expected, expected]);
    });
  }
});

describe('words that only look like it', () => {
  const read = (text: string) => readQuestion(text).words;
  it('are no numbers: 一个, 一下, 十分, 百度, 万一', () => {
    for (const text of ['有一个问题', '我想了解一下', '十分好吃', '用百度搜索', '万一下雨', '唯一的办法', '千万小心'])
      expect(
        read(text).filter(({ kind }) => kind === 'number'),
        text,
      ).toEqual([]);
  });

  it('are no negations: 不过, 是不是, 特别, 非常, 未来, 无锡', () => {
    for (const text of [
      '不过很贵',
      '是不是很贵',
      '特别贵',
      '非常贵',
      '未来会更贵',
      '无锡的酒店',
      '别人的车',
      '差不多',
      '要不要洗车',
      '有没有车位',
    ])
      expect(
        read(text).filter(({ kind }) => kind === 'negation'),
        text,
      ).toEqual([]);
  });

  it('are read as what they are', () => {
    const amounts = (text: string) =>
      read(text)
        .filter(({ kind }) => kind === 'number')
        .map(({ base, unit }) => `${base} ${unit ?? ''}`.trim());
    expect(amounts('两万五千块')).toEqual(['25000 ¥']);
    expect(amounts('三百五')).toEqual(['350']);
    expect(amounts('二零一六年五月三日')).toEqual(['2016 year', '5 月', '3 日']);
    expect(amounts('two hundred and five books')).toEqual(['205']);
    expect(amounts('1.5 million people and 10k cars')).toEqual(['1500000', '10000']);
    expect(amounts('at 3:30 pm')).toEqual(['15:30 o’clock']);
    expect(amounts('下午三点半')).toEqual(['15:30 o’clock']);
    expect(amounts('晚上八点一刻')).toEqual(['20:15 o’clock']);
    expect(amounts('星期天')).toEqual(['7 weekday']);
    expect(amounts('百分之二十五')).toEqual(['25 %']);
    expect(amounts('$5 or 5 dollars')).toEqual(['5 $', '5 $']);
  });
});

describe('whatever is written', () => {
  const text = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 60 }),
    fc
      .array(
        fc.constantFrom(
          '不',
          '三',
          '点',
          'not ',
          '3',
          ' pm',
          'How ',
          '的',
          '"',
          '`',
          '，',
          'A.',
          '.',
          '百',
          '半',
          '20',
          '年',
          "n't",
          ' to ',
          '\u0000',
        ),
        { maxLength: 24 },
      )
      .map((parts) => parts.join('')),
  );
  it('is read without an error, differs from itself by nothing but what it points at, and alike from both sides', () => {
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect([undefined, 'points elsewhere']).toContain(difference(a, a));
        expect(wording(a, a)).toBe('same-text');
        expect(difference(a, b) === undefined).toBe(difference(b, a) === undefined);
        expect(wording(a, b)).toBe(wording(b, a));
      }),
      { numRuns: 500 },
    );
  });

  it('is told apart from the same with another number, and from its denial', () => {
    const frame = fc.constantFrom(
      (n: number) => `How do I save ${n} dollars a month?`,
      (n: number) => `买${n}张票要多久？`,
      (n: number) => `Was ${n} a leap year?`,
      (n: number) => `第${n}章讲了什么`,
    );
    fc.assert(
      fc.property(
        frame,
        fc.nat(9999),
        fc.nat(9999),
        (of, a, b) => void expect(difference(of(a), of(b))).toBe(a === b ? undefined : 'numbers'),
      ),
      { numRuns: 200 },
    );
    const denial = fc.constantFrom(['can', 'can not'], ['can', "can't"], ['should', "shouldn't"], ['do', "don't"], ['will', 'will never']);
    const verb = fc.constantFrom('eat', 'sell', 'open', 'trust', 'paint');
    fc.assert(
      fc.property(
        denial,
        verb,
        ([yes, no], what) => void expect(difference(`Why ${yes} people ${what} fish?`, `Why ${no} people ${what} fish?`)).toBe('negations'),
      ),
      { numRuns: 50 },
    );
  });

  it('takes time in proportion to its length', () => {
    const long = '三点半不是a1'.repeat(2500);
    const since = performance.now();
    readQuestion(long);
    readQuestion('"'.repeat(20_000));
    readQuestion('1,'.repeat(10_000));
    expect(performance.now() - since).toBeLessThan(5000);
  });
});
