import type { GeneratePart } from '@open-autoglm/protocol';
import { describe, expect, it } from 'vitest';
import { PartQueue } from '../../src/process/part-queue.ts';

const reason = new Error('left');
const text = (value: string): GeneratePart => ({ type: 'text-delta', text: value, tokenCount: 1 });
const end: GeneratePart = { type: 'text-end', finishReason: 'stop', completionTokens: 2, decodeMs: 1 };

function queueOf(...parts: GeneratePart[]): PartQueue {
  const queue = new PartQueue();
  for (const part of parts) queue.push(part);
  return queue;
}

describe('PartQueue', () => {
  it('hands over what came before an error, and then the error', async () => {
    const queue = queueOf(text('a'));
    queue.fail(reason);
    expect(await queue.next()).toEqual({ value: text('a'), done: false });
    await expect(queue.next()).rejects.toBe(reason);
  });

  it.each([
    { name: 'in the middle', parts: [text('a'), text('b')] },
    { name: 'at its end', parts: [text('a'), end] },
  ])('hands over nothing after an abort: $name', async ({ parts }) => {
    const queue = queueOf(...parts);
    await queue.next();
    queue.abort(reason);
    queue.push(text('late'));
    await expect(queue.next()).rejects.toBe(reason);
  });

  it('wakes a reader that waits', async () => {
    const queue = new PartQueue();
    const first = queue.next();
    queue.abort(reason);
    await expect(first).rejects.toBe(reason);
  });
});
