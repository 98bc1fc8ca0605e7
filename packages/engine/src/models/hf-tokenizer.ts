import type { GgufMetadata, GgufValue } from './gguf-writer.ts';

/** The parts of Hugging Face's `tokenizer.json` that a byte-level BPE is made of. */
export interface TokenizerJson {
  readonly pre_tokenizer: { readonly type: string; readonly use_regex?: boolean; readonly add_prefix_space?: boolean };
  readonly added_tokens: readonly { readonly id: number; readonly content: string; readonly special: boolean }[];
  readonly model: {
    readonly type: string;
    readonly vocab: Readonly<Record<string, number>>;
    readonly merges: readonly (readonly [string, string])[];
  };
}

/** The parts of `tokenizer_config.json` that GGUF has keys for. */
export interface TokenizerConfig {
  readonly add_bos_token: boolean;
  readonly add_eos_token: boolean;
  readonly bos_token: string;
  readonly eos_token: string;
  readonly pad_token: string;
  readonly chat_template: string;
}

/** llama.cpp's `enum llama_token_type`. */
const tokenType = { NORMAL: 1, CONTROL: 3, USER_DEFINED: 4 } as const;

/**
 * GGUF's `tokenizer.*` keys for a byte-level BPE that splits text as GPT-2 does. Throws for any other tokenizer, which
 * under these keys would quietly give other tokens.
 */
export function tokenizerMetadata(tokenizer: TokenizerJson, config: TokenizerConfig): GgufMetadata {
  const { pre_tokenizer: split, model } = tokenizer;
  if (model.type !== 'BPE' || split.type !== 'ByteLevel' || split.use_regex === false || split.add_prefix_space === true) {
    throw new Error(`A byte-level BPE with GPT-2's pre-tokenizer was expected, not ${model.type} with ${JSON.stringify(split)}.`);
  }
  const { tokens, types } = listTokens(tokenizer);
  const id = (token: string): GgufValue => ({ type: 'u32', value: tokens.indexOf(token) });
  return new Map<string, GgufValue>([
    ['tokenizer.ggml.model', { type: 'string', value: 'gpt2' }],
    ['tokenizer.ggml.pre', { type: 'string', value: 'gpt-2' }],
    ['tokenizer.ggml.tokens', { type: 'strings', value: tokens }],
    ['tokenizer.ggml.token_type', { type: 'i32s', value: types }],
    ['tokenizer.ggml.merges', { type: 'strings', value: model.merges.map((pair) => pair.join(' ')) }],
    ['tokenizer.ggml.bos_token_id', id(config.bos_token)],
    ['tokenizer.ggml.eos_token_id', id(config.eos_token)],
    // The token that ends a turn is also the one that ends the text.
    ['tokenizer.ggml.eot_token_id', id(config.eos_token)],
    ['tokenizer.ggml.padding_token_id', id(config.pad_token)],
    ['tokenizer.ggml.add_bos_token', { type: 'bool', value: config.add_bos_token }],
    ['tokenizer.ggml.add_eos_token', { type: 'bool', value: config.add_eos_token }],
    ['tokenizer.chat_template', { type: 'string', value: config.chat_template }],
  ]);
}

function listTokens({ model, added_tokens: added }: TokenizerJson): { tokens: string[]; types: number[] } {
  const tokens: string[] = [];
  for (const [token, id] of Object.entries(model.vocab)) tokens[id] = token;
  const types = tokens.map((): number => tokenType.NORMAL);
  for (const { id, content, special } of added) {
    tokens[id] = content;
    types[id] = special ? tokenType.CONTROL : tokenType.USER_DEFINED;
  }
  return { tokens, types };
}
