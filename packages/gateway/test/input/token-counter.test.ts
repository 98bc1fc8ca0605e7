import { expect, it, vi } from 'vitest';
import { TokenCounter, type CountSegments } from '../../src/input/tokens/token-counter.ts';
import { remoteTokenizer } from '../../src/input/tokens/tokenizers.ts';

const segments = Array.from({ length: 30 }, (_, index) => ({ kind: 'text', text: `${index} ${'word '.repeat(1900)}` }) as const);

it('A tokenizer here counts no further for who has left, within a call and from call to call', async () => {
  const { count } = remoteTokenizer('gpt-4o', undefined);
  const counted = vi.fn<CountSegments>(count);
  const counter = new TokenCounter(counted);
  const leaving = new AbortController();
  const reason = new Error('left');
  const left = counter.count(segments, leaving.signal);
  setImmediate(() => leaving.abort(reason));
  await expect(left).rejects.toBe(reason);
  expect(counted.mock.calls.length).toBeLessThan(10);
  expect(await counter.count(segments, new AbortController().signal)).toHaveLength(segments.length);
  await expect(count(segments, leaving.signal)).rejects.toBe(reason);
});
