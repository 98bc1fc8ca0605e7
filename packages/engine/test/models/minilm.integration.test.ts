import { existsSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openEncoder, type Encoder } from '../../src/encoder/encoder.ts';
import { defaultHome } from '../../src/index.ts';
import { findNamedModel, type NamedModel } from '../../src/models/named-models.ts';
import { openEmbeddingReference, type EmbeddingReference } from '../../src/reference/embeddings.ts';
import { cosine } from '../support/logits.ts';

const model = findNamedModel('minilm') as NamedModel;
const modelPath = path.join(defaultHome(), model.fileName());

// 42 MB are not fetched for a test: `AUTOGLM_HOME=.cache/autoglm npx autoglm pull minilm` brings them.
describe.skipIf(!existsSync(modelPath))('minilm, where it has been fetched', () => {
  let encoder: Encoder;
  let reference: EmbeddingReference;
  beforeAll(() => {
    encoder = openEncoder({ modelPath, id: 'minilm', source: model.source, threads: 1, poll: 0, passTokens: 512 });
    reference = openEmbeddingReference({ modelPath, threads: 1, batchSize: 512, maxSequences: 16 });
  });
  afterAll(() => {
    encoder?.close();
    reference?.close();
  });

  it('reads texts and gives vectors as libllama does', () => {
    expect(encoder.info).toMatchObject({ dimensions: 384, pooling: 'mean', contextLength: 512 });
    // Known ids of bert-base-uncased.
    expect(encoder.vocabulary.tokenizeWhole('Hello, world!')).toEqual([101, 7592, 1010, 2088, 999, 102]);
    for (const text of [
      'The quick brown fox jumps over the lazy dog.',
      'Pneumonoultramicroscopicsilicovolcanoconiosis',
      '明天 at 15:00',
      'café naïve ½',
    ]) {
      const tokens = encoder.vocabulary.tokenizeWhole(text);
      expect(tokens, text).toEqual(reference.tokenize(text));
      expect(cosine(encoder.encode([tokens])[0] as Float32Array, reference.embed([tokens])[0] as Float32Array), text).toBeGreaterThan(
        0.999,
      );
    }
  });

  it('puts paraphrases near each other, and other things far off', () => {
    const embed = (text: string) => encoder.encode([encoder.vocabulary.tokenizeWhole(text)])[0] as Float32Array;
    const [asked, paraphrase, other] = [
      embed('How do I reset my password?'),
      embed('What is the way to change a forgotten password?'),
      embed('Which films won an Oscar in 1994?'),
    ];
    expect(cosine(asked, paraphrase)).toBeGreaterThan(0.6);
    expect(cosine(asked, other)).toBeLessThan(0.3);
  });
});
