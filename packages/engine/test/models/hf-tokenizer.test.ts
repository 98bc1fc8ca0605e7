import { describe, expect, it } from 'vitest';
import { tokenizerMetadata, type TokenizerJson } from '../../src/models/hf-tokenizer.ts';

const tokenizer: TokenizerJson = {
  pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
  added_tokens: [
    { id: 0, content: '<pad>', special: true },
    { id: 1, content: '<s>', special: true },
    { id: 2, content: '</s>', special: true },
    { id: 6, content: '<think>', special: false },
  ],
  model: { type: 'BPE', vocab: { '</s>': 2, '<pad>': 0, '<s>': 1, b: 4, a: 3, ab: 5 }, merges: [['a', 'b']] },
};
const config = {
  add_bos_token: false,
  add_eos_token: false,
  bos_token: '<s>',
  eos_token: '</s>',
  pad_token: '<pad>',
  chat_template: '{{ messages }}',
};

describe('tokenizerMetadata', () => {
  it('lists tokens by their ids, with their kinds', () => {
    const metadata = tokenizerMetadata(tokenizer, config);
    expect(metadata.get('tokenizer.ggml.tokens')?.value).toEqual(['<pad>', '<s>', '</s>', 'a', 'b', 'ab', '<think>']);
    expect(metadata.get('tokenizer.ggml.token_type')?.value).toEqual([3, 3, 3, 1, 1, 1, 4]);
    expect(metadata.get('tokenizer.ggml.merges')?.value).toEqual(['a b']);
    expect(metadata.get('tokenizer.ggml.bos_token_id')?.value).toBe(1);
    expect(metadata.get('tokenizer.ggml.eos_token_id')?.value).toBe(2);
    expect(metadata.get('tokenizer.ggml.padding_token_id')?.value).toBe(0);
  });

  it('ranks the tokens of a SentencePiece vocabulary by the pairs that make them', () => {
    const sentencePiece: TokenizerJson = {
      normalizer: { type: 'Sequence', normalizers: [{ type: 'Prepend' }, { type: 'Replace' }] },
      pre_tokenizer: null,
      added_tokens: [
        { id: 0, content: '<unk>', special: true },
        { id: 1, content: '<s>', special: true },
      ],
      model: {
        type: 'BPE',
        byte_fallback: true,
        unk_token: '<unk>',
        vocab: { '<unk>': 0, '<s>': 1, '<0x0A>': 2, '▁': 3, a: 4, b: 5, ab: 6, '▁ab': 7 },
        merges: ['a b', '▁ ab'],
      },
    };
    const metadata = tokenizerMetadata(sentencePiece, { bos_token: { content: '<s>' }, add_bos_token: true });
    expect(metadata.get('tokenizer.ggml.model')?.value).toBe('llama');
    expect(metadata.get('tokenizer.ggml.scores')?.value).toEqual([-2, -2, -2, -2, -2, -2, -0, -1]);
    expect(metadata.get('tokenizer.ggml.token_type')?.value).toEqual([2, 3, 6, 1, 1, 1, 1, 1]);
    expect(metadata.get('tokenizer.ggml.add_space_prefix')?.value).toBe(true);
    expect(metadata.get('tokenizer.ggml.bos_token_id')?.value).toBe(1);
    expect(metadata.has('tokenizer.ggml.eos_token_id')).toBe(false);
  });

  it('refuses tokenizers that would give other tokens under these keys', () => {
    const others: TokenizerJson[] = [
      { ...tokenizer, model: { ...tokenizer.model, type: 'Unigram' } },
      { ...tokenizer, pre_tokenizer: { type: 'Metaspace' } },
      { ...tokenizer, pre_tokenizer: { type: 'ByteLevel', use_regex: false } },
      { ...tokenizer, pre_tokenizer: { type: 'ByteLevel', add_prefix_space: true } },
    ];
    for (const other of others) expect(() => tokenizerMetadata(other, config)).toThrow('byte-level BPE');
  });
});
