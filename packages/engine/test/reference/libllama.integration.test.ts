import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openReference, type Reference, type ReferenceToken } from '../../src/reference/libllama.ts';
import { writeTinyModel } from '../support/tiny-model.ts';

describe('the reference', () => {
  let folder: string;
  let modelPath: string;
  const opened: Reference[] = [];
  const open = (options: { unifiedCache?: boolean; maxSequences?: number } = {}) => {
    const reference = openReference({ modelPath, threads: 1, contextLength: 2048, maxSequences: 16, batchSize: 64, ...options });
    opened.push(reference);
    return reference;
  };
  const text = (sequence: number, tokens: readonly number[]): ReferenceToken[] =>
    tokens.map((token, position) => ({ token, position, sequence, wantsLogits: position === tokens.length - 1 }));
  const logits = (reference: Reference, batch: readonly ReferenceToken[]) => reference.evaluate(batch).map((row) => row.slice());

  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-reference-'));
    modelPath = path.join(folder, 'tiny.gguf');
    await writeTinyModel(modelPath, { architecture: 'llama', seed: 3 });
  });
  afterAll(async () => {
    for (const reference of opened) reference.close();
    await rm(folder, { recursive: true });
  });

  it('has tokens whose bytes are the text', () => {
    const reference = open();
    const said = '你好，world 🙂';
    const tokens = reference.tokenize(said, { parseControl: false });
    expect(Buffer.concat(tokens.map((token) => reference.tokenBytes(token))).toString()).toBe(said);
    expect(reference.tokenize('<|im_end|>', { parseControl: true })).toHaveLength(1);
    expect(reference.tokenize('<|im_end|>', { parseControl: false }).length).toBeGreaterThan(1);
    expect(reference.tokenize('', { parseControl: false })).toEqual([]);
  });

  for (const unifiedCache of [false, true]) {
    it(`keeps 16 sequences apart, unified cache ${unifiedCache}`, () => {
      const reference = open({ unifiedCache });
      expect(reference.sequenceLength).toBe(unifiedCache ? 2048 : 256);
      const prompts = Array.from({ length: 16 }, (_, sequence) => [100 + sequence, 300, 500 + sequence]);
      const alone = prompts.map((prompt) => {
        reference.clear();
        return logits(reference, text(0, prompt))[0] as Float32Array;
      });
      reference.clear();
      const together = logits(
        reference,
        prompts.flatMap((prompt, sequence) => text(sequence, prompt)),
      );
      expect(together).toHaveLength(16);
      for (const [sequence, row] of together.entries()) {
        expect(row).toHaveLength(reference.vocabularySize);
        for (const index of [0, 77, 4000]) expect(row[index]).toBeCloseTo(alone[sequence]?.[index] as number, 2);
      }
    });
  }

  it('forgets one sequence and keeps the others', () => {
    const reference = open();
    logits(reference, [...text(0, [10, 11]), ...text(1, [20, 21])]);
    const next: ReferenceToken = { token: 22, position: 2, sequence: 1, wantsLogits: true };
    reference.clear(0);
    const kept = logits(reference, [next])[0] as Float32Array;
    reference.clear();
    logits(reference, text(1, [20, 21]));
    expect(logits(reference, [next])[0]?.[5]).toBeCloseTo(kept[5] as number, 3);
    expect(reference.evaluateGreedily(text(0, [10, 11]))).toEqual([expect.any(Number)]);
  });

  it('says what is wrong', () => {
    expect(() => openReference({ modelPath: path.join(folder, 'none.gguf'), threads: 1, contextLength: 64, maxSequences: 1 })).toThrow(
      'cannot load',
    );
    const reference = open();
    expect(() =>
      reference.evaluate(
        text(
          0,
          Array.from({ length: 65 }, () => 5),
        ),
      ),
    ).toThrow('do not fit a batch of 64');
  });

  it('refuses what does not fit a sequence', () => {
    const reference = open({ maxSequences: 32 });
    expect(reference.sequenceLength).toBeLessThanOrEqual(256);
    expect(() => {
      for (let position = 0; position < 2049; position += 1) reference.evaluate([{ token: 5, position, sequence: 0, wantsLogits: false }]);
    }).toThrow('no room');
  });
});
