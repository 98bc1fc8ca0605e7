import { expect, it } from 'vitest';
import { completionLogprobs } from '../src/output/logprobs.ts';

const token = (text: string, logprob: number) => ({ token: text, logprob, bytes: [...Buffer.from(text)] });

it('names the token that was taken among the likeliest, one more where it is none of them', () => {
  const [likeliest, second] = [token('a', -0.1), token('b', -2)];
  const { top_logprobs: top } = completionLogprobs(
    [
      { ...likeliest, top: [likeliest, second] },
      { ...token('c', -5), top: [likeliest, second] },
      { ...second, top: [] },
    ],
    0,
  ) as { top_logprobs: object[] };
  expect(top).toEqual([{ a: -0.1, b: -2 }, { a: -0.1, b: -2, c: -5 }, { b: -2 }]);
});

it('says of several tokens with one text what the likeliest has', () => {
  const halves = [token('\ufffd', -0.5), token('\ufffd', -1.5), token('__proto__', -3)];
  const { top_logprobs: top } = completionLogprobs([{ ...token('\ufffd', -4), top: halves }], 0) as { top_logprobs: object[] };
  expect(JSON.stringify(top)).toBe('[{"\ufffd":-0.5,"__proto__":-3}]');
});
