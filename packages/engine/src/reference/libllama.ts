import koffi from 'koffi';
import type { Pointer } from '../ggml/bindings.ts';
import { loadGgml, takeGgmlErrors } from '../ggml/library.ts';

/** libllama from the same package and on the same GGUF: the yardstick of tests and benches. The engine itself never calls it. */
export interface Reference {
  readonly vocabularySize: number;
  tokenize(text: string, options: { readonly parseControl: boolean }): number[];
  /** Evaluates the tokens in one call and returns the logits of those that want them; valid until the next call. */
  evaluate(batch: readonly ReferenceToken[]): Float32Array[];
  /** Forgets all sequences. */
  clear(): void;
  close(): void;
}

export interface ReferenceToken {
  readonly token: number;
  readonly position: number;
  readonly sequence: number;
  readonly wantsLogits: boolean;
}

export interface ReferenceOptions {
  readonly modelPath: string;
  readonly threads: number;
  /** Tokens in all sequences together. */
  readonly contextLength: number;
  readonly maxSequences: number;
  /** Tokens of one `evaluate`; 512 when not given, as libllama's own default for a micro-batch. */
  readonly batchSize?: number;
}

/**
 * Offsets into `llama_context_params` of the pinned version, read off its defaults (npm carries no header).
 * `openReference` checks what it can against libllama's own getters.
 */
const contextParams = { contextLength: 0, batchSize: 4, microBatchSize: 8, maxSequences: 12, threads: 28, batchThreads: 32 } as const;
const paramsSize = 512;

export function openReference(options: ReferenceOptions): Reference {
  const llama = bindLlama();
  const model = llama.loadModel(options.modelPath, llama.modelDefaults());
  if (!model) throw new Error(`libllama cannot load ${options.modelPath}: ${takeGgmlErrors()}`);
  const context = llama.newContext(model, { bytes: contextBytes(llama, options) });
  if (!context || llama.threads(context) !== options.threads || llama.maxSequences(context) !== options.maxSequences) {
    throw new Error('libllama lays out its parameters in another way than the pinned version');
  }
  const vocabulary = llama.vocabulary(model);
  const vocabularySize = llama.vocabularySize(vocabulary);
  return {
    vocabularySize,
    tokenize: (text, { parseControl }) => {
      const bytes = new TextEncoder().encode(text);
      const tokens = new Int32Array(bytes.length + 8);
      const count = llama.tokenize(vocabulary, bytes, bytes.length, tokens, tokens.length, false, parseControl);
      return Array.from(tokens.subarray(0, count));
    },
    evaluate: (batch) => evaluate(llama, context, vocabularySize, batch),
    clear: () => llama.clearMemory(llama.memory(context), true),
    close() {
      llama.freeContext(context);
      llama.freeModel(model);
    },
  };
}

type Llama = ReturnType<typeof bindLlama>;

function bindLlama() {
  const library = loadGgml().libraries.llama;
  const params = koffi.struct({ bytes: koffi.array('uint8', paramsSize, 'Typed') });
  const batch = koffi.struct({ n_tokens: 'int32', token: 'void *', embd: 'void *', pos: 'void *', n_seq_id: 'void *', seq_id: 'void *', logits: 'void *' });
  const bind = <F>(name: string, result: string | typeof params, parameters: (string | typeof params)[]) => library.func(name, result, parameters) as unknown as F;
  return {
    modelDefaults: bind<() => { bytes: Uint8Array }>('llama_model_default_params', params, []),
    contextDefaults: bind<() => { bytes: Uint8Array }>('llama_context_default_params', params, []),
    loadModel: bind<(path: string, params: { bytes: Uint8Array }) => Pointer | null>('llama_model_load_from_file', 'void *', ['const char *', params]),
    newContext: bind<(model: Pointer, params: { bytes: Uint8Array }) => Pointer | null>('llama_init_from_model', 'void *', ['void *', params]),
    freeModel: bind<(model: Pointer) => void>('llama_model_free', 'void', ['void *']),
    freeContext: bind<(context: Pointer) => void>('llama_free', 'void', ['void *']),
    threads: bind<(context: Pointer) => number>('llama_n_threads', 'int32', ['void *']),
    maxSequences: bind<(context: Pointer) => number>('llama_n_seq_max', 'uint32', ['void *']),
    vocabulary: bind<(model: Pointer) => Pointer>('llama_model_get_vocab', 'void *', ['void *']),
    vocabularySize: bind<(vocabulary: Pointer) => number>('llama_vocab_n_tokens', 'int32', ['void *']),
    tokenize: bind<(vocabulary: Pointer, text: Uint8Array, length: number, tokens: Int32Array, max: number, addSpecial: boolean, parseSpecial: boolean) => number>(
      'llama_tokenize', 'int32', ['void *', 'const uint8_t *', 'int32', '_Out_ int32 *', 'int32', 'bool', 'bool'],
    ),
    decode: bind<(context: Pointer, batch: object) => number>('llama_decode', 'int32', ['void *', batch]),
    logits: bind<(context: Pointer, index: number) => Pointer>('llama_get_logits_ith', 'void *', ['void *', 'int32']),
    memory: bind<(context: Pointer) => Pointer>('llama_get_memory', 'void *', ['void *']),
    clearMemory: bind<(memory: Pointer, data: boolean) => void>('llama_memory_clear', 'void', ['void *', 'bool']),
  };
}

function contextBytes(llama: Llama, options: ReferenceOptions): Uint8Array {
  const { bytes } = llama.contextDefaults();
  const fields = new DataView(bytes.buffer, bytes.byteOffset);
  const batchSize = options.batchSize ?? 512;
  const set = (offset: number, value: number) => fields.setInt32(offset, value, true);
  set(contextParams.contextLength, options.contextLength);
  set(contextParams.batchSize, batchSize);
  set(contextParams.microBatchSize, batchSize);
  set(contextParams.maxSequences, options.maxSequences);
  set(contextParams.threads, options.threads);
  set(contextParams.batchThreads, options.threads);
  return bytes;
}

function evaluate(llama: Llama, context: Pointer, vocabularySize: number, batch: readonly ReferenceToken[]): Float32Array[] {
  const count = batch.length;
  const sequences = Int32Array.from(batch, (entry) => entry.sequence);
  // Held until the call returns: C gets addresses only.
  const columns = {
    token: Int32Array.from(batch, (entry) => entry.token),
    pos: Int32Array.from(batch, (entry) => entry.position),
    n_seq_id: new Int32Array(count).fill(1),
    seq_id: BigUint64Array.from({ length: count }, (_, index) => addressOf(sequences) + BigInt(4 * index)),
    logits: Int8Array.from(batch, (entry) => Number(entry.wantsLogits)),
  };
  const addresses = Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, addressOf(column)]));
  const status = llama.decode(context, { n_tokens: count, embd: null, ...addresses });
  if (status !== 0) throw new Error(`llama_decode failed with ${status}: ${takeGgmlErrors()}`);
  return batch.flatMap((entry, index) => (entry.wantsLogits ? [new Float32Array(koffi.view(llama.logits(context, index), vocabularySize * 4))] : []));
}

function addressOf(array: ArrayBufferView): Pointer {
  return BigInt(koffi.address(array));
}
