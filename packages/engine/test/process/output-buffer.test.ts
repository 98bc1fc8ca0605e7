import type { GeneratePart } from '@open-autoglm/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StepOutput } from '../../src/core.ts';
import { OutputBuffer } from '../../src/process/output-buffer.ts';

const promptEnd: GeneratePart = { type: 'prompt-end', promptTokens: 3, cachedTokens: 0, queueMs: 0, prefillMs: 0 };
const textEnd: GeneratePart = { type: 'text-end', finishReason: 'stop', completionTokens: 1, decodeMs: 0 };
const delta = (text: string, hasLogprobs = false): GeneratePart => ({
  type: 'text-delta',
  text,
  tokenCount: 1,
  ...(hasLogprobs && { logprobs: [{ token: text, bytes: [], logprob: -1, top: [] }] }),
});

describe('OutputBuffer', () => {
  it('sends every token by itself with an interval of 0', () => {
    const outputs = [{ id: 'a', part: delta('x') }];
    expect(new OutputBuffer(0).add(outputs, 0)).toBe(outputs);
  });

  it('joins the text of several steps until the interval is over', () => {
    const buffer = new OutputBuffer(10);
    expect(
      buffer.add(
        [
          { id: 'a', part: delta('你', true) },
          { id: 'b', part: delta('x') },
        ],
        0,
      ),
    ).toEqual([]);
    expect(buffer.add([{ id: 'a', part: delta('好', true) }], 9)).toEqual([]);
    const [joined, other] = buffer.add([{ id: 'a', part: delta('!', true) }], 10);
    expect(joined).toMatchObject({
      id: 'a',
      part: { text: '你好!', tokenCount: 3, logprobs: [{ token: '你' }, { token: '好' }, { token: '!' }] },
    });
    expect(other).toEqual({ id: 'b', part: delta('x') });
    expect(buffer.add([{ id: 'a', part: delta('later') }], 11)).toEqual([]);
  });

  it('holds back neither a first token nor an end, and nothing that was said before them', () => {
    const buffer = new OutputBuffer(1000);
    buffer.add([{ id: 'a', part: delta('early') }], 0);
    expect(
      buffer.add(
        [
          { id: 'b', part: promptEnd },
          { id: 'b', part: delta('first') },
        ],
        1,
      ),
    ).toHaveLength(3);
    buffer.add([{ id: 'a', part: delta('more') }], 2);
    expect(buffer.add([{ id: 'a', part: textEnd }], 3)).toEqual([
      { id: 'a', part: delta('more') },
      { id: 'a', part: textEnd },
    ]);
  });

  it('loses, doubles and reorders no text, whatever the interval; forgotten sequences alone say no more', () => {
    const step = fc.record({
      ids: fc.uniqueArray(fc.constantFrom('a', 'b', 'c'), { minLength: 1 }),
      forget: fc.option(fc.constantFrom('a', 'b', 'c'), { freq: 8 }),
      isEnd: fc.boolean(),
      waitMs: fc.nat({ max: 8 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.nat({ max: 20 }), (steps, intervalMs) => {
        const buffer = new OutputBuffer(intervalMs);
        const said = new Map<string, string>();
        const heard = new Map<string, string>();
        const forgotten = new Set<string>();
        const hear = (outputs: readonly StepOutput[]) => {
          for (const { id, part } of outputs) {
            expect(forgotten.has(id)).toBe(false);
            if (part.type === 'text-delta') heard.set(id, (heard.get(id) ?? '') + part.text);
          }
        };
        let nowMs = 0;
        for (const [index, { ids, forget, isEnd, waitMs }] of steps.entries()) {
          nowMs += waitMs;
          const living = ids.filter((id) => !forgotten.has(id));
          for (const id of living) said.set(id, `${said.get(id) ?? ''}${index} `);
          hear(
            buffer.add(
              living.map((id) => ({ id, part: delta(`${index} `) })),
              nowMs,
            ),
          );
          if (isEnd && !forgotten.has('a')) hear(buffer.add([{ id: 'a', part: textEnd }], nowMs));
          if (forget !== null) {
            buffer.forget(forget);
            forgotten.add(forget);
          }
        }
        hear(buffer.add([{ id: 'z', part: textEnd }], nowMs));
        for (const [id, text] of said) if (!forgotten.has(id)) expect(heard.get(id)).toBe(text);
      }),
    );
  });
});
