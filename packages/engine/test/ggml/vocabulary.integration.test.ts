import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadGgml } from '../../src/ggml/library.ts';
import { openVocabulary, type Vocabulary } from '../../src/ggml/vocabulary.ts';
import { writeTinyModel } from '../support/tiny-model.ts';

/** `gpt-2` is written out in libllama, the others are patterns. */
describe.each(['gpt-2', 'deepseek-llm', 'gpt-4o', 'tekken', 'bloom', 'default'])('a vocabulary split as %s', (preTokenizer) => {
  let folder: string;
  let vocabulary: Vocabulary;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-vocabulary-'));
    const file = path.join(folder, 'tiny.gguf');
    await writeTinyModel(file, { architecture: 'llama', seed: 1, preTokenizer });
    vocabulary = openVocabulary(loadGgml(), file);
  });
  afterAll(async () => {
    vocabulary.close();
    await rm(folder, { recursive: true });
  });
  const textOf = (tokens: readonly number[]) => Buffer.concat(tokens.map((token) => vocabulary.bytes(token))).toString();

  it('gives the same tokens by another thread, beside others', async () => {
    const texts = ['', 'a', '明天下午三点在国贸店洗车。'.repeat(500), 'x'.repeat(9000), '<|im_start|> and <|im_end|>'];
    for (const parseControl of [false, true]) {
      const aside = await Promise.all(texts.map((text) => vocabulary.tokenizeAside(text, parseControl)));
      expect(aside).toEqual(texts.map((text) => vocabulary.tokenize(text, parseControl)));
    }
  });

  it.each([['letters', 'a'], ['ideographs', '中'], ['digits', '1'], ['spaces', ' '], ['marks', '!'], ['lines', '\n'], ['faces', '😀'], ['letters and digits', 'a1']])('reads any number of %s', (_, piece) => {
    const text = piece.repeat(100_000);
    expect(textOf(vocabulary.tokenize(text, false)) === text).toBe(true);
  });
});
