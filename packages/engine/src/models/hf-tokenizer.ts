import type { GgufMetadata, GgufValue } from './gguf-writer.ts';
import { shown } from './shown.ts';

interface PreTokenizer {
  readonly type: string;
  readonly use_regex?: boolean;
  readonly add_prefix_space?: boolean;
  readonly pretokenizers?: readonly PreTokenizer[];
  readonly pattern?: { readonly Regex?: string };
  readonly prepend_scheme?: string;
}

/** The parts of Hugging Face's `tokenizer.json` that a BPE is made of. */
export interface TokenizerJson {
  readonly normalizer?: { readonly type: string; readonly normalizers?: readonly { readonly type: string }[] } | null;
  readonly pre_tokenizer: PreTokenizer | null;
  readonly added_tokens: readonly { readonly id: number; readonly content: string; readonly special: boolean }[];
  readonly model: {
    readonly type: string;
    readonly byte_fallback?: boolean;
    readonly unk_token?: string | null;
    readonly vocab: Readonly<Record<string, number>>;
    /** Pairs, or in older files two tokens with a space between. */
    readonly merges: readonly (readonly [string, string] | string)[];
  };
}

type NamedToken = string | { readonly content: string } | null;

/** The parts of `tokenizer_config.json` that GGUF has keys for. */
export interface TokenizerConfig {
  readonly add_bos_token?: boolean;
  readonly add_eos_token?: boolean;
  readonly bos_token?: NamedToken;
  readonly eos_token?: NamedToken;
  readonly pad_token?: NamedToken;
  readonly chat_template?: string | undefined;
}

/** llama.cpp's `enum llama_token_type`. */
const tokenType = { NORMAL: 1, UNKNOWN: 2, CONTROL: 3, USER_DEFINED: 4, UNUSED: 5, BYTE: 6 } as const;

const words = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+`;
const rest = String.raw`| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
const digitByDigit = `${words}|\\p{N}${rest}`;
const threeDigits = `${words}|\\p{N}{1,3}${rest}`;

export interface TokenizerMetadataOptions {
  readonly architecture?: string | undefined;
  /**
   * Rows of the embedding: often more than there are tokens, because some sizes are multiplied faster. As many as tokens when not given.
   */
  readonly size?: number;
  /** Tokens that end an answer, where the model says so itself. */
  readonly endIds?: readonly number[];
}

/**
 * GGUF's `tokenizer.*` keys for a byte-level BPE that splits text as GPT-2, Qwen2, Llama 3 or GLM-4 do, or for a SentencePiece
 * BPE as of Llama 2. Throws for any other tokenizer, which under these keys would quietly give other tokens.
 */
export function tokenizerMetadata(
  tokenizer: TokenizerJson,
  config: TokenizerConfig,
  { architecture = 'llama', size, endIds = [] }: TokenizerMetadataOptions = {},
): GgufMetadata {
  const { tokens, types } = listTokens(tokenizer, size);
  const [firstEnd, ...otherEnds] = endIds.map((id): GgufValue => ({ type: 'u32', value: id }));
  const eos = idOf(tokens, config.eos_token) ?? firstEnd;
  const [eot, eom] = [firstEnd, ...otherEnds].filter((end) => end && end.value !== eos?.value);
  const keys: [string, GgufValue | undefined][] = [
    ...kindKeys(tokenizer, tokens, architecture),
    ['tokens', { type: 'strings', value: tokens }],
    ['token_type', { type: 'i32s', value: types }],
    ['bos_token_id', idOf(tokens, config.bos_token)],
    ['eos_token_id', eos],
    // Where the model names no other, the token that ends a turn is also the one that ends the text.
    ['eot_token_id', eot ?? eos],
    ['eom_token_id', eom],
    ['padding_token_id', idOf(tokens, config.pad_token)],
    ['add_bos_token', flag(config.add_bos_token)],
    ['add_eos_token', flag(config.add_eos_token)],
  ];
  const template: [string, GgufValue][] =
    config.chat_template === undefined ? [] : [['tokenizer.chat_template', { type: 'string', value: config.chat_template }]];
  return new Map([
    ...keys.flatMap(([key, value]): [string, GgufValue][] => (value ? [[`tokenizer.ggml.${key}`, value]] : [])),
    ...template,
  ]);
}

function kindKeys(tokenizer: TokenizerJson, tokens: readonly string[], architecture: string): [string, GgufValue][] {
  const { model } = tokenizer;
  if (model.type === 'BPE' && model.byte_fallback === true) return sentencePieceKeys(tokenizer, tokens);
  return [
    ['model', { type: 'string', value: 'gpt2' }],
    ['pre', { type: 'string', value: preTokenizerName(tokenizer, architecture) }],
    ['merges', { type: 'strings', value: model.merges.map((pair) => (typeof pair === 'string' ? pair : pair.join(' '))) }],
  ];
}

/** llama.cpp's name for the way in which text is split before pairs are merged. */
function preTokenizerName({ model, pre_tokenizer: split }: TokenizerJson, architecture: string): string {
  const steps = split?.type === 'Sequence' ? (split.pretokenizers ?? []) : [split];
  const [first, second] = steps;
  if (
    model.type === 'BPE' &&
    steps.length === 1 &&
    first?.type === 'ByteLevel' &&
    first.use_regex !== false &&
    first.add_prefix_space !== true
  )
    return 'gpt-2';
  const isSplitByPattern =
    model.type === 'BPE' &&
    steps.length === 2 &&
    first?.type === 'Split' &&
    second?.type === 'ByteLevel' &&
    second.use_regex === false &&
    second.add_prefix_space !== true;
  if (isSplitByPattern && first.pattern?.Regex === digitByDigit) return 'qwen2';
  if (isSplitByPattern && first.pattern?.Regex === threeDigits) return architecture === 'glm4' ? 'chatglm-bpe' : 'llama-bpe';
  throw new Error(
    `A byte-level BPE with the pre-tokenizer of GPT-2, Qwen2, Llama 3 or GLM-4 was expected, not ${model.type} with ${JSON.stringify(split)}.`,
  );
}

/** SentencePiece merges the pair whose result has the highest score; Hugging Face lists the pairs in that order. */
function sentencePieceKeys({ model, normalizer, pre_tokenizer: split }: TokenizerJson, tokens: readonly string[]): [string, GgufValue][] {
  const order = new Map<string, number>();
  for (const [index, pair] of model.merges.entries()) {
    const merged = typeof pair === 'string' ? pair.replace(' ', '') : pair.join('');
    if (!order.has(merged)) order.set(merged, index);
  }
  const prepends =
    normalizer?.normalizers?.some(({ type }) => type === 'Prepend') === true ||
    (split?.type === 'Metaspace' && split.prepend_scheme !== 'never');
  return [
    ['model', { type: 'string', value: 'llama' }],
    ['scores', { type: 'f32s', value: tokens.map((token) => -(order.get(token) ?? model.merges.length)) }],
    ['add_space_prefix', { type: 'bool', value: prepends }],
  ];
}

/** Throws for ids that no row stands for, and for a token that stands twice, which libllama would end the process for. */
function listTokens({ model, added_tokens: added }: TokenizerJson, size?: number): { tokens: string[]; types: number[] } {
  const kinds = new Map<number, { readonly token: string; readonly type: number }>();
  const isByte = (token: string) => model.byte_fallback === true && /^<0x[0-9A-F]{2}>$/.test(token);
  for (const [token, id] of Object.entries(model.vocab)) kinds.set(id, { token, type: isByte(token) ? tokenType.BYTE : tokenType.NORMAL });
  for (const { id, content, special } of added)
    kinds.set(id, {
      token: content,
      type: content === model.unk_token ? tokenType.UNKNOWN : special ? tokenType.CONTROL : tokenType.USER_DEFINED,
    });
  const count = size ?? kinds.size;
  const beyond = [...kinds].find(([id]) => id >= count);
  if (beyond) throw new Error(`The token ${shown(beyond[1].token)} has the number ${beyond[0]}, and there are ${count}.`);
  const seen = new Set<string>();
  for (const { token } of kinds.values()) {
    if (seen.has(token)) throw new Error(`The token ${shown(token)} stands twice in it.`);
    seen.add(token);
  }
  // Rows that no text leads to, under llama.cpp's names for them.
  const all = Array.from({ length: count }, (_, id) => kinds.get(id) ?? { token: unusedName(id, seen), type: tokenType.UNUSED });
  return { tokens: all.map(({ token }) => token), types: all.map(({ type }) => type) };
}

function unusedName(id: number, taken: ReadonlySet<string>): string {
  let name = `[PAD${id}]`;
  while (taken.has(name)) name = `[${name}]`;
  return name;
}

function idOf(tokens: readonly string[], token: NamedToken | undefined): GgufValue | undefined {
  const id = tokens.indexOf((typeof token === 'string' ? token : token?.content) ?? '\0');
  return id < 0 ? undefined : { type: 'u32', value: id };
}

function flag(value: boolean | undefined): GgufValue | undefined {
  return value === undefined ? undefined : { type: 'bool', value };
}
