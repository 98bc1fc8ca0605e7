import type { GgufMetadata, GgufValue } from './gguf-writer.ts';

/** The parts of Hugging Face's `tokenizer.json` that a WordPiece is made of. */
export interface WordPieceJson {
  readonly model: {
    readonly type: string;
    readonly unk_token: string;
    readonly continuing_subword_prefix: string;
    readonly vocab: Readonly<Record<string, number>>;
  };
}

/** llama.cpp's `enum llama_token_type`. */
const tokenType = { NORMAL: 1, UNKNOWN: 2, CONTROL: 3 } as const;
/** Stands for the space before a word: llama.cpp marks where words begin, and not where they go on. */
const wordStart = '\u2581';

/**
 * GGUF's `tokenizer.*` keys for BERT's WordPiece (Wu et al. 2016), which libllama lowercases, strips of accents and splits at every Chinese
 * character.
 */
export function wordPieceMetadata({ model }: WordPieceJson): GgufMetadata {
  if (model.type !== 'WordPiece') throw new Error(`A WordPiece tokenizer was expected, not ${model.type}.`);
  const names: string[] = [];
  for (const [token, id] of Object.entries(model.vocab)) names[id] = token;
  const isControl = (token: string) => /^\[.*\]$/s.test(token);
  const prefix = model.continuing_subword_prefix;
  const tokens = names.map((token) =>
    isControl(token) ? token : token.startsWith(prefix) ? token.slice(prefix.length) : wordStart + token,
  );
  const types = names.map((token): number =>
    token === model.unk_token ? tokenType.UNKNOWN : /^\[(PAD|CLS|SEP|MASK)\]$/.test(token) ? tokenType.CONTROL : tokenType.NORMAL,
  );
  const id = (token: string): GgufValue => {
    const value = model.vocab[token];
    if (value === undefined) throw new Error(`The tokenizer has no token ${token}.`);
    return { type: 'u32', value };
  };
  return new Map<string, GgufValue>([
    ['tokenizer.ggml.model', { type: 'string', value: 'bert' }],
    ['tokenizer.ggml.tokens', { type: 'strings', value: tokens }],
    ['tokenizer.ggml.token_type', { type: 'i32s', value: types }],
    ['tokenizer.ggml.token_type_count', { type: 'u32', value: 2 }],
    ['tokenizer.ggml.bos_token_id', id('[CLS]')],
    ['tokenizer.ggml.cls_token_id', id('[CLS]')],
    // So it is spelt there.
    ['tokenizer.ggml.seperator_token_id', id('[SEP]')],
    ['tokenizer.ggml.unknown_token_id', id(model.unk_token)],
    ['tokenizer.ggml.padding_token_id', id('[PAD]')],
    ['tokenizer.ggml.mask_token_id', id('[MASK]')],
  ]);
}
