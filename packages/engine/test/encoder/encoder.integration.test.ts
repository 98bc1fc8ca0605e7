import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openEncoder, type Encoder } from '../../src/encoder/encoder.ts';
import { openEmbeddingReference, type EmbeddingReference } from '../../src/reference/embeddings.ts';
import { cosine } from '../support/logits.ts';
import { writeTinyBert, type TinyBertOptions } from '../support/tiny-bert.ts';

const texts = [
  'hello world',
  '中国的首都是北京',
  'Unbelievable! The price is 42?',
  '今天天气很好 🙂 hello',
  '[CLS] hello [SEP] [MASK]',
  'x'.repeat(150),
  'héllo WÖRLD, ünbelievable',
  'the cat, the cat, the cat',
  ' \t\n ',
];

describe('the encoder', () => {
  let folder: string;
  const opened: { close(): void }[] = [];
  beforeAll(async () => (folder = await mkdtemp(path.join(tmpdir(), 'autoglm-bert-'))));
  afterAll(async () => {
    for (const one of opened) one.close();
    await rm(folder, { recursive: true });
  });

  const open = async (options: TinyBertOptions): Promise<{ encoder: Encoder; reference: EmbeddingReference }> => {
    const modelPath = path.join(folder, `${JSON.stringify(options).replaceAll(/\W+/g, '-')}.gguf`);
    await writeTinyBert(modelPath, options);
    const encoder = openEncoder({ modelPath, id: 'tiny', source: 'tiny', threads: 1, poll: 0, passTokens: 512 });
    const reference = openEmbeddingReference({ modelPath, threads: 1, batchSize: 512, maxSequences: 16 });
    opened.push(encoder, reference);
    return { encoder, reference };
  };

  const variants: readonly TinyBertOptions[] = [
    { seed: 1, pooling: 'mean' },
    { seed: 2, pooling: 'cls' },
    { seed: 3, pooling: 'last' },
    { seed: 4, pooling: 'cls', type: 'q8_0' },
    { seed: 5, pooling: 'mean', type: 'f16', layers: 3, hidden: 96, heads: 3 },
    { seed: 6, pooling: 'mean', type: 'q8_0', valueType: 'f16' },
  ];
  for (const options of variants) {
    it(`gives libllama's vectors, alone and in company: ${JSON.stringify(options)}`, async () => {
      const { encoder, reference } = await open(options);
      const tokens = texts.map((text) => reference.tokenize(text).slice(0, 128)).toSorted((a, b) => a.length - b.length);
      const expected = tokens.map((text) => reference.embed([text])[0] as Float32Array);
      const together = encoder.encode(tokens);
      for (const [index, vector] of together.entries()) {
        expect(cosine(vector, expected[index] as Float32Array)).toBeGreaterThan(0.9995);
        expect(norm(vector)).toBeCloseTo(1, 5);
        const [alone] = encoder.encode([tokens[index] as number[]]) as [Float32Array];
        expect(cosine(vector, alone)).toBeGreaterThan(0.999999);
      }
      // Other texts have other vectors, or all of this would prove nothing.
      expect(cosine(together[1] as Float32Array, together[4] as Float32Array)).toBeLessThan(0.99);
    });
  }

  it('reads texts as libllama does', async () => {
    const { encoder, reference } = await open({ seed: 7 });
    for (const text of texts) expect(encoder.vocabulary.tokenizeWhole(text)).toEqual(reference.tokenize(text));
    const [cls, ...rest] = encoder.vocabulary.tokenizeWhole('[CLS][SEP]');
    expect(cls).toBe(2);
    expect(rest.slice(0, -1)).not.toContain(2);
    expect(rest.slice(0, -1)).not.toContain(3);
    expect(rest.at(-1)).toBe(3);
  });

  it('takes a text as long as its positions, and many lengths in one pass', async () => {
    const { encoder, reference } = await open({ seed: 8, pooling: 'cls' });
    const long = Array.from({ length: 128 }, (_, index) => 5 + (index % 60));
    expect(cosine(encoder.encode([long])[0] as Float32Array, reference.embed([long])[0] as Float32Array)).toBeGreaterThan(0.9995);
    const staircase = Array.from({ length: 31 }, (_, index) => long.slice(0, index + 1));
    const vectors = encoder.encode(staircase);
    for (const index of [0, 7, 30])
      expect(cosine(vectors[index] as Float32Array, reference.embed([staircase[index] as number[]])[0] as Float32Array)).toBeGreaterThan(
        0.9995,
      );
  });

  it('says what it is', async () => {
    const { encoder } = await open({ seed: 9, pooling: 'last' });
    expect(encoder.info).toMatchObject({
      id: 'tiny',
      architecture: 'bert',
      weightType: 'F32',
      dimensions: 64,
      contextLength: 128,
      pooling: 'last',
    });
  });
});

function norm(vector: Float32Array): number {
  return Math.hypot(...vector);
}
