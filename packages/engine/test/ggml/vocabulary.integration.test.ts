import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadGgml } from '../../src/ggml/library.ts';
import { openVocabulary, type Vocabulary } from '../../src/ggml/vocabulary.ts';
import { writeGguf } from '../../src/models/gguf-writer.ts';
import { tokenizerMetadata } from '../../src/models/hf-tokenizer.ts';
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

  it.each([
    ['letters', 'a'],
    ['ideographs', '中'],
    ['digits', '1'],
    ['spaces', ' '],
    ['marks', '!'],
    ['lines', '\n'],
    ['faces', '😀'],
    ['letters and digits', 'a1'],
  ])('reads any number of %s', (_, piece) => {
    const text = piece.repeat(100_000);
    expect(textOf(vocabulary.tokenize(text, false)) === text).toBe(true);
  });
});

describe('a vocabulary of SentencePiece', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-vocabulary-'));
  });
  afterAll(() => rm(folder, { recursive: true }));
  const names = [
    '<unk>',
    '<s>',
    '</s>',
    ...Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`),
    '▁',
    'a',
    '明',
  ];
  const openWithout = async (missing: string): Promise<Vocabulary> => {
    const tokens = names.filter((name) => name !== missing);
    const tokenizer = {
      pre_tokenizer: null,
      added_tokens: [],
      model: {
        type: 'BPE',
        byte_fallback: true,
        unk_token: '<unk>',
        vocab: Object.fromEntries(tokens.map((name, id) => [name, id])),
        merges: [],
      },
    };
    const file = path.join(folder, `${tokens.length}.gguf`);
    const handle = await open(file, 'w');
    await writeGguf(loadGgml(), handle, {
      metadata: new Map([['general.architecture', { type: 'string', value: 'llama' }], ...tokenizerMetadata(tokenizer, {})]),
      tensors: [],
    }).finally(() => handle.close());
    return openVocabulary(loadGgml(), file);
  };

  it.each(['none of them', '<0x61>', '<0xC0>', '<0xFF>'])('reads any text, by bytes where it must, without %s', async (missing) => {
    const vocabulary = await openWithout(missing);
    const bytes = vocabulary.tokenize('a天😀\0\n', false).map((token) => Buffer.from(vocabulary.bytes(token)));
    expect(Buffer.concat(bytes).toString()).toMatch(/^ ?a天😀\0\n$/);
    vocabulary.close();
  });

  it.each(['<0x00>', '<0x0A>', '<0xF4>'])('is refused without %s, for which a text would end the process', async (missing) => {
    await expect(openWithout(missing)).rejects.toMatchObject({
      code: 'engine_failed',
      message: expect.stringContaining(`tokenizer.ggml.tokens lacks ${missing}`),
    });
  });
});
