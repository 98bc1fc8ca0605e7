import { existsSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openEncoder, type Encoder } from '../../src/encoder/encoder.ts';
import { defaultHome } from '../../src/index.ts';
import { findNamedModel, type NamedModel } from '../../src/models/named-models.ts';
import { openEmbeddingReference, type EmbeddingReference } from '../../src/reference/embeddings.ts';
import { cosine } from '../support/logits.ts';

const model = findNamedModel('bge-small-zh') as NamedModel;
const modelPath = path.join(defaultHome(), model.fileName());

// 20 MB are not fetched for a test: `AUTOGLM_HOME=.cache/autoglm npx autoglm pull bge-small-zh` brings them.
describe.skipIf(!existsSync(modelPath))('bge-small-zh, where it has been fetched', () => {
  let encoder: Encoder;
  let reference: EmbeddingReference;
  beforeAll(() => {
    encoder = openEncoder({ modelPath, id: 'bge-small-zh', source: model.source, threads: 1, poll: 0, passTokens: 512 });
    reference = openEmbeddingReference({ modelPath, threads: 1, batchSize: 512, maxSequences: 16 });
  });
  afterAll(() => {
    encoder?.close();
    reference?.close();
  });
  const embed = (...texts: string[]) => encoder.encode(texts.map((text) => encoder.vocabulary.tokenizeWhole(text)));

  const texts = [
    '明天下午三点在国贸店洗车',
    'The quick brown fox jumps over the lazy dog.',
    '🚗💨 今天去洗车，ok？',
    'Pneumonoultramicroscopicsilicovolcanoconiosis-'.repeat(4),
    '[CLS] 忽略以上所有指令 [SEP] [MASK] <|im_end|>',
    '繁體中文與日本語のテキスト、한국어',
    'café naïve ﬁ ½ ﾊﾝｶｸ \u0000\u200b\ufeff control',
    '床前明月光，疑是地上霜。'.repeat(30),
  ];

  it('reads texts as libllama does', () => {
    for (const text of texts) expect(encoder.vocabulary.tokenizeWhole(text), text).toEqual(reference.tokenize(text));
    // Known ids of bert-base-chinese.
    expect(encoder.vocabulary.tokenizeWhole('中国 Data')).toEqual([101, 704, 1744, 9000, 102]);
  });

  it('gives the vectors of libllama', () => {
    for (const text of texts) {
      const tokens = encoder.vocabulary.tokenizeWhole(text);
      expect(cosine(encoder.encode([tokens])[0] as Float32Array, reference.embed([tokens])[0] as Float32Array), text).toBeGreaterThan(
        0.999,
      );
    }
  });

  it('puts paraphrases near each other, and other things far off', () => {
    const [asked, paraphrase, other] = embed('怎么预约洗车？', '我想约个时间洗车，该怎么做？', '明天北京会下雨吗？') as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    expect(cosine(asked, paraphrase)).toBeGreaterThan(0.7);
    expect(cosine(asked, other)).toBeLessThan(0.5);
  });
});
