import type { ChatMessage } from '@open-autoglm/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { divide, omission } from '../../src/input/fit/conversation.ts';
import { fit, type FitTask, type Fitted } from '../../src/input/fit/fit.ts';
import { judge } from '../../src/input/fit/judge.ts';

/** A tokenizer of its own kind: words of up to four letters, with the space before them, and everything else by the character. */
const countText = (text: string) => text.match(/\s?[a-z]{1,4}|[^]/giu)?.length ?? 0;
const countPrompt = (messages: readonly ChatMessage[]) =>
  messages.reduce(
    (sum, { content, toolCalls }) => sum + 5 + countText(content) + (toolCalls ? countText(JSON.stringify(toolCalls)) : 0),
    3,
  );

function fitTo(messages: readonly ChatMessage[], budget: number, changes: Partial<FitTask> = {}): Promise<Fitted | undefined> {
  return fit({
    messages,
    budget,
    recentTurns: 2,
    signal: new AbortController().signal,
    param: 'messages',
    countImages: () => 0,
    countPrompt: async (some) => countPrompt(some),
    countTexts: async (texts) => texts.map(countText),
    ...changes,
  });
}

const user = (content: string): ChatMessage => ({ role: 'user', content });
const assistant = (content: string): ChatMessage => ({ role: 'assistant', content });
const system = (content: string): ChatMessage => ({ role: 'system', content });
const call = (id: string, ...answers: string[]): ChatMessage[] => [
  {
    role: 'assistant',
    content: '',
    toolCalls: answers.map((_, index) => ({
      id: `${id}${index}`,
      type: 'function',
      function: { name: 'look', arguments: `{"at":"${id}"}` },
    })),
  },
  ...answers.map((content, index): ChatMessage => ({ role: 'tool', content, toolCallId: `${id}${index}` })),
];

const sentence = fc.constantFrom(
  'The bakery in Mill Street opens at six. ',
  'Rain is expected for the whole week. ',
  'Order 4711 has left the warehouse.\n',
  'Order 4712 has left the warehouse.\n',
  'Thank you for your patience!\n',
  '王芳最喜欢的东西是钢琴。',
  '下雨的时候，街上的行人少了。',
  '👩‍👩‍👧‍👦 e\u0301 🇨🇳 ',
  '\n```ts\nconst a = 1;\n```\n',
  '\n',
  'Her blue bicycle is kept behind the house of Mr Baker. ',
);
const content = fc.array(sentence, { minLength: 1, maxLength: 12 }).map((parts) => parts.join(''));
const exchange = fc
  .tuple(
    content.map(user),
    fc.array(
      fc.oneof(
        content.map((text) => [assistant(text)]),
        fc
          .tuple(fc.string({ minLength: 1, maxLength: 4 }), fc.array(content, { minLength: 1, maxLength: 2 }))
          .map(([id, answers]) => call(id, ...answers)),
      ),
      { maxLength: 3 },
    ),
  )
  .map(([question, answers]) => [question, ...answers.flat()]);
const conversation = fc
  .tuple(fc.option(content.map(system), { nil: undefined }), fc.array(exchange, { minLength: 1, maxLength: 6 }))
  .map(([first, exchanges]) => [...(first ? [first] : []), ...exchanges.flat()]);

describe('fit', () => {
  it('never exceeds the budget, and leaves calls, fences and turns whole', async () => {
    await fc.assert(
      fc.asyncProperty(conversation, fc.integer({ min: 10, max: 600 }), async (messages, budget) => {
        let fitted: Fitted | undefined;
        try {
          fitted = await fitTo(messages, budget);
        } catch (error) {
          expect(error).toMatchObject({ code: 'context_length_exceeded', param: 'messages' });
          return;
        }
        if (!fitted) {
          expect(countPrompt(messages)).toBeLessThanOrEqual(budget);
          return;
        }
        expect(countPrompt(fitted.messages)).toBeLessThanOrEqual(budget);
        expect(fitted.tokens).toBe(countPrompt(fitted.messages));
        expect(fitted.leftOut.length).toBeGreaterThan(0);
        checkWhole(messages, fitted.messages);
      }),
      { numRuns: 500 },
    );
  });

  it('judges many pieces by a long question without looking at every pair of them', () => {
    const word = (index: number) => `w${index.toString(36)}`;
    const question = Array.from({ length: 60_000 }, (_, index) => word(index)).join(' ');
    const lines = Array.from(
      { length: 48_000 },
      (_, index) => `Line ${index} of ${word(index)} and of nothing else that anybody would ask about.`,
    ).join('\n');
    const judged = judge(divide([user(lines), assistant(question), user(question)]), { recentTurns: 2, isLastTooLong: false });
    let step = judged.next();
    while (!step.done) step = judged.next();
    expect(step.value.length).toBeGreaterThan(48_000);
  });

  function checkWhole(before: readonly ChatMessage[], after: readonly ChatMessage[]): void {
    for (const [index, message] of after.entries()) {
      if (message.toolCalls) {
        const from = before.indexOf(message);
        expect(from).not.toBe(-1);
        for (let step = 1; before[from + step]?.role === 'tool'; step += 1) expect(after[index + step]).toBe(before[from + step]);
      }
      if (message.role === 'tool') expect(['tool', 'assistant']).toContain(after[index - 1]?.role);
      const fences = message.content.match(/^```/gmu)?.length ?? 0;
      expect(fences % 2).toBe(0);
    }
    const pairs = (some: readonly ChatMessage[]) =>
      some.filter(({ role }, index) => role === 'user' && some[index - 1]?.role === 'user').length;
    expect(pairs(after)).toBeLessThanOrEqual(pairs(before));
    expect(after.filter(({ role }) => role === 'system')).toEqual(before.filter(({ role }) => role === 'system'));
    const begins = (some: readonly ChatMessage[]) =>
      some
        .findLast(({ role }) => role === 'user')
        ?.content.trim()
        .slice(0, 2);
    expect(begins(after)).toBe(begins(before));
  }

  const filler = Array.from(
    { length: 40 },
    (_, index) => `Chapter ${index} of the long walk speaks of hills, of rivers number ${index * 7} and of the people on the road. `,
  );
  const told = (fact: string, at: number) => [...filler.slice(0, at), fact, ...filler.slice(at)].join('');

  it('does not look at what fits', async () => {
    const countTexts = () => Promise.reject(new Error('counted'));
    expect(await fitTo([user('Hello')], 100, { countTexts })).toBeUndefined();
  });

  it('keeps what the last turn speaks of, however old, and says what went', async () => {
    const messages = [
      system('Be brief.'),
      user(told('The password of the harbour master is heliotrope. ', 12)),
      assistant('I see.'),
      user('And the weather?'),
      assistant('Fine.'),
      user('What is the password of the harbour master?'),
    ];
    const fitted = (await fitTo(messages, 300)) as Fitted;
    const text = fitted.messages.map((message) => message.content).join('\n');
    expect(text).toContain('heliotrope');
    expect(text).toContain(omission);
    expect(fitted.messages[0]).toBe(messages[0]);
    expect(fitted.messages.slice(-3)).toEqual(messages.slice(-3));
    expect(fitted.leftOut).toEqual([{ message: 1, role: 'user', tokens: expect.any(Number), pieces: expect.any(Number) }]);
  });

  it('keeps what a later turn quotes, and the turn that it names by its number', async () => {
    const walk = [
      user(told('By the way, all ferries are grey. ', 20)),
      assistant(told('A heron stood there. ', 3)),
      user('Why do you say "all ferries are grey"?'),
    ];
    expect(JSON.stringify((await fitTo(walk, 300))?.messages)).toContain('By the way, all ferries are grey.');
    const answers = [
      user('One.'),
      assistant('Lilac.'),
      user('Two.'),
      assistant(filler.join('')),
      user('Three.'),
      assistant(filler.join('')),
      user('Four.'),
      assistant('Fine.'),
      user('Repeat your first answer.'),
    ];
    expect((await fitTo(answers, 200))?.messages.slice(0, 2)).toEqual(answers.slice(0, 2));
  });

  it('lets go first of what is said again and of what is made like many others', async () => {
    const log = Array.from({ length: 60 }, (_, index) => `Request ${index} was answered without any error within the time.\n`).join('');
    const remark = 'Our gardener suspects that moles undermine the tennis court.\n';
    const messages = [user(`${log}${remark}${remark}${log}`), assistant('Noted.'), user('Thanks.'), assistant('Welcome.'), user('Go on.')];
    const fitted = (await fitTo(messages, 200)) as Fitted;
    expect(fitted.messages[0]?.content.split('moles')).toHaveLength(2);
  });

  it('cuts the middle of a last turn that alone is too long, and keeps what it asks', async () => {
    const question = 'Where do they keep the telescope?';
    const fitted = (await fitTo(
      [user(`Read this.\n${told('They keep the telescope in the old mill. ', 25)}\n${question}`)],
      200,
    )) as Fitted;
    const [message] = fitted.messages;
    expect(message?.content).toMatch(/^Read this\./);
    expect(message?.content).toMatch(/Where do they keep the telescope\?$/);
    expect(message?.content).toContain('in the old mill');
  });

  it('lets go of the earlier steps of a task that has only one user message', async () => {
    const steps = Array.from({ length: 12 }, (_, index) => call(`s${index}`, filler.slice(index, index + 4).join(''))).flat();
    const messages = [user('Book a table.'), ...steps];
    const fitted = (await fitTo(messages, 500)) as Fitted;
    expect(fitted.messages[0]).toBe(messages[0]);
    expect(fitted.messages.slice(-2)).toEqual(messages.slice(-2));
    expect(countPrompt(fitted.messages)).toBeGreaterThan(250);
  });

  it('refuses what cannot fit, with both lengths', async () => {
    await expect(fitTo([system(filler.join('')), user('Hi')], 100)).rejects.toMatchObject({
      code: 'context_length_exceeded',
      message: expect.stringMatching(/has \d+ tokens and may have 100; .* has \d+\./),
    });
  });

  it('stops when the client leaves', async () => {
    const left = new AbortController();
    const countTexts = async (texts: readonly string[]) => {
      left.abort(new Error('left'));
      return texts.map(countText);
    };
    await expect(fitTo([user(filler.join('')), assistant('a'), user('b')], 100, { signal: left.signal, countTexts })).rejects.toThrow(
      'left',
    );
  });
});
