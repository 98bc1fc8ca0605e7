import koffi from 'koffi';
import { AutoglmError } from '@open-autoglm/protocol';
import type { Ggml, Pointer } from './bindings.ts';
import { cutStretches } from '../text/cut-stretches.ts';
import { takeGgmlErrors } from './library.ts';

/** A model's tokens, read from its GGUF by libllama, so that ids are those of every other llama.cpp program. */
export interface Vocabulary {
  readonly size: number;
  /** Token that every text begins with, when the model wants one. */
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  readonly addsBos: boolean;
  /** Texts of all control tokens. */
  readonly controlTokens: readonly string[];
  /** With `parseControl` false, text that looks like a control token stays text. No token is added. */
  tokenize(text: string, parseControl: boolean): number[];
  /** As `tokenize`, by another thread. */
  tokenizeAside(text: string, parseControl: boolean): Promise<number[]>;
  /** As `tokenize` with control tokens as text, and with what the model wants around every text. */
  tokenizeWhole(text: string): number[];
  /** The bytes that a token stands for; empty for control tokens. The caller must not change them. */
  bytes(token: number): Uint8Array;
  /** The token's text as it stands in the vocabulary. */
  name(token: number): string;
  /** Whether the token ends a turn. */
  endsGeneration(token: number): boolean;
  close(): void;
}

/** Offset of `vocab_only` in `struct llama_model_params` of the pinned version, whose header npm does not carry. */
const vocabOnlyOffset = 72;
/** More than both parameter structs of libllama need; C reads and writes only its own part. */
const paramsSize = 512;
/** libllama's token types, as `llama_vocab_get_attr` reports them. */
const controlAttribute = 1 << 3;
const byteAttribute = 1 << 5;

/**
 * Pre-tokenizers that libllama has written out. For any other it takes `std::regex`, which needs the stack for each character of a match.
 */
const writtenOut = new Set([
  'gpt-2',
  'qwen2',
  'llama-bpe',
  'llama3',
  'llama-v3',
  'chatglm-bpe',
  'glm4',
  'smollm',
  'starcoder',
  'refact',
  'command-r',
  'mpt',
  'olmo',
  'jais',
  'kimi-k2',
  'hunyuan',
  'qwen35',
]);
/** Characters of such a match at most: a quarter of what the stack of a call holds. */
const stretchMax = 8192;

/** Loads only the vocabulary of a GGUF. Throws `engine_failed` when libllama cannot read it. */
export function openVocabulary(ggml: Ggml, path: string): Vocabulary {
  const llama = bindLlama(ggml);
  const params = llama.defaultParams();
  params.bytes[vocabOnlyOffset] = 1;
  const model = llama.load(path, params);
  if (!model)
    throw new AutoglmError(
      'engine_failed',
      `The tokenizer in ${path} cannot be read (${takeGgmlErrors()}). Download it again, or give another with --model FILE.gguf.`,
    );
  const handle = llama.vocabulary(model);
  const size = llama.size(handle);
  const token = (id: number) => (id >= 0 ? id : undefined);
  const pieces = new Array<Uint8Array | undefined>(size);
  const kind = llama.metadata(model, 'tokenizer.ggml.model');
  const missing = kind === 'llama' ? missingByte(llama, handle, size) : undefined;
  if (missing !== undefined) {
    llama.free(model);
    throw new AutoglmError(
      'engine_failed',
      `${path} cannot be used: its GGUF key tokenizer.ggml.tokens lacks ${missing}, and a text with a character that is no token itself is made of such tokens. Give another with --model FILE.gguf.`,
    );
  }
  const splitsByRegex = kind === 'gpt2' && !writtenOut.has(llama.metadata(model, 'tokenizer.ggml.pre'));
  const callsFor = (text: string) => (text === '' ? [] : splitsByRegex ? cutStretches(text, stretchMax) : [text]);
  return {
    size,
    bos: token(llama.bos(handle)),
    eos: token(llama.eos(handle)),
    addsBos: llama.addsBos(handle),
    controlTokens: Array.from({ length: size }, (_, id) => id)
      .filter((id) => llama.attributes(handle, id) & controlAttribute)
      .map((id) => llama.text(handle, id)),
    tokenize: (text, parseControl) =>
      callsFor(text).flatMap((piece) => Array.from(tokenize(llama, handle, piece, { addSpecial: false, parseControl }))),
    async tokenizeAside(text, parseControl) {
      const tokens: number[] = [];
      for (const piece of callsFor(text)) for (const token of await tokenizeAside(llama, handle, piece, parseControl)) tokens.push(token);
      return tokens;
    },
    tokenizeWhole: (text) => Array.from(tokenize(llama, handle, text, { addSpecial: true, parseControl: false })),
    bytes: (id) => (pieces[id] ??= pieceBytes(llama, handle, id)),
    name: (id) => llama.text(handle, id),
    endsGeneration: (id) => llama.endsGeneration(handle, id),
    close: () => llama.free(model),
  };
}

/**
 * SentencePiece writes what it has no token for byte by byte. libllama ends the process over the first text with a byte that has none:
 * the first one missing of those that UTF-8 is made of.
 */
function missingByte(llama: Llama, vocabulary: Pointer, size: number): string | undefined {
  const ids = Array.from({ length: size }, (_, id) => id);
  const namesOf = (found: readonly number[]) => new Set(found.map((id) => llama.text(vocabulary, id)));
  const missing = (names: ReadonlySet<string>) =>
    utf8Bytes.find((byte) => !names.has(byteName(byte)) && !(byte < 0x80 && names.has(String.fromCharCode(byte))));
  // Nearly always they are marked as what they are, and the other names need not be read.
  const marked = namesOf(ids.filter((id) => llama.attributes(vocabulary, id) & byteAttribute));
  const byte = missing(marked) === undefined ? undefined : missing(namesOf(ids));
  return byte === undefined ? undefined : byteName(byte);
}

const utf8Bytes = Array.from({ length: 0xf5 }, (_, byte) => byte).filter((byte) => byte !== 0xc0 && byte !== 0xc1);

function byteName(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
}

type Llama = ReturnType<typeof bindLlama>;

function bindLlama(ggml: Ggml) {
  const library = ggml.libraries.llama;
  const params = koffi.struct({ bytes: koffi.array('uint8', paramsSize, 'Typed') });
  const readMetadata = library.func(
    'int llama_model_meta_val_str(void *model, const char *key, _Out_ uint8_t *value, size_t size)',
  ) as unknown as (model: Pointer, key: string, value: Uint8Array, size: number) => number;
  return {
    /** Empty where the file does not say; cut after 255 bytes. */
    metadata: (model: Pointer, key: string) => {
      const value = Buffer.alloc(256);
      return readMetadata(model, key, value, value.length) < 0 ? '' : value.toString('utf8', 0, value.indexOf(0));
    },
    defaultParams: library.func('llama_model_default_params', params, []) as unknown as () => { bytes: Uint8Array },
    load: library.func('llama_model_load_from_file', 'void *', ['const char *', params]) as unknown as (
      path: string,
      params: { bytes: Uint8Array },
    ) => Pointer | null,
    free: library.func('void llama_model_free(void *model)') as unknown as (model: Pointer) => void,
    vocabulary: library.func('void *llama_model_get_vocab(void *model)') as unknown as (model: Pointer) => Pointer,
    size: library.func('int llama_vocab_n_tokens(void *vocab)') as unknown as (vocabulary: Pointer) => number,
    bos: library.func('int llama_vocab_bos(void *vocab)') as unknown as (vocabulary: Pointer) => number,
    eos: library.func('int llama_vocab_eos(void *vocab)') as unknown as (vocabulary: Pointer) => number,
    addsBos: library.func('bool llama_vocab_get_add_bos(void *vocab)') as unknown as (vocabulary: Pointer) => boolean,
    attributes: library.func('int llama_vocab_get_attr(void *vocab, int token)') as unknown as (
      vocabulary: Pointer,
      token: number,
    ) => number,
    text: library.func('const char *llama_vocab_get_text(void *vocab, int token)') as unknown as (
      vocabulary: Pointer,
      token: number,
    ) => string,
    endsGeneration: library.func('bool llama_vocab_is_eog(void *vocab, int token)') as unknown as (
      vocabulary: Pointer,
      token: number,
    ) => boolean,
    tokenize: library.func(
      'int llama_tokenize(void *vocab, const uint8_t *text, int text_len, _Out_ int *tokens, int max, bool add_special, bool parse_special)',
    ) as unknown as ((
      vocabulary: Pointer,
      text: Uint8Array,
      length: number,
      tokens: Int32Array,
      max: number,
      addSpecial: boolean,
      parseSpecial: boolean,
    ) => number) &
      TokenizeAsync,
    piece: library.func(
      'int llama_token_to_piece(void *vocab, int token, _Out_ uint8_t *buffer, int length, int lstrip, bool special)',
    ) as unknown as (vocabulary: Pointer, token: number, buffer: Uint8Array, length: number, lstrip: number, special: boolean) => number,
  };
}

/** How koffi calls a function in a thread of its own. */
interface TokenizeAsync {
  async(
    vocabulary: Pointer,
    text: Uint8Array,
    length: number,
    tokens: Int32Array,
    max: number,
    addSpecial: boolean,
    parseSpecial: boolean,
    done: (error: Error | null, count: number) => void,
  ): void;
}

const utf8 = new TextEncoder();

interface TokenizeOptions {
  readonly addSpecial: boolean;
  readonly parseControl: boolean;
}

function tokenize(llama: Llama, vocabulary: Pointer, text: string, { addSpecial, parseControl }: TokenizeOptions): Int32Array {
  const { bytes, tokens } = buffersFor(text);
  return filled(tokens, llama.tokenize(vocabulary, bytes, bytes.length, tokens, tokens.length, addSpecial, parseControl));
}

async function tokenizeAside(llama: Llama, vocabulary: Pointer, text: string, parseControl: boolean): Promise<Int32Array> {
  const { bytes, tokens } = buffersFor(text);
  const count = await new Promise<number>((resolve, reject) => {
    llama.tokenize.async(vocabulary, bytes, bytes.length, tokens, tokens.length, false, parseControl, (error, found) =>
      error ? reject(error) : resolve(found),
    );
  });
  return filled(tokens, count);
}

function buffersFor(text: string): { readonly bytes: Uint8Array; readonly tokens: Int32Array } {
  const bytes = utf8.encode(text);
  // A token is at least a byte, but some vocabularies put a space before the text.
  return { bytes, tokens: new Int32Array(bytes.length + 8) };
}

function filled(tokens: Int32Array, count: number): Int32Array {
  if (count < 0) throw new Error(`libllama wants room for ${-count} tokens, and has it for ${tokens.length}`);
  return tokens.subarray(0, count);
}

function pieceBytes(llama: Llama, vocabulary: Pointer, token: number): Uint8Array {
  let buffer = new Uint8Array(64);
  let length = llama.piece(vocabulary, token, buffer, buffer.length, 0, false);
  if (length < 0) {
    buffer = new Uint8Array(-length);
    length = llama.piece(vocabulary, token, buffer, buffer.length, 0, false);
  }
  return buffer.slice(0, Math.max(length, 0));
}
