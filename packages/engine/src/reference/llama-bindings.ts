import koffi from 'koffi';
import type { Pointer } from '../ggml/bindings.ts';
import { loadGgml } from '../ggml/library.ts';

/** The struct offsets below are those of this version, which its package does not describe in a header. */
const expectedVersion = '0.5.0-dev';

/** Fields of `struct llama_context_params`, as byte offsets. */
export const ContextField = {
  /** uint32, tokens of all sequences together. */
  CONTEXT_LENGTH: 0,
  BATCH_SIZE: 4,
  MICRO_BATCH_SIZE: 8,
  MAX_SEQUENCES: 12,
  /** int32, for batches of one token. */
  THREADS: 28,
  /** int32, for all other batches. */
  BATCH_THREADS: 32,
  /** bool: one KV buffer for all sequences, instead of one for each. */
  UNIFIED_CACHE: 133,
} as const;

/** More than both parameter structs need. C passes them through memory, and reads and writes only its own part. */
const paramsSize = 512;

/** A parameter struct as bytes: start from the library's defaults, then set fields by offset. */
export interface Params {
  readonly bytes: Uint8Array;
}

/** `struct llama_batch`: columns of equal length. */
export interface BatchStruct {
  readonly n_tokens: number;
  readonly token: Pointer;
  readonly embd: null;
  readonly pos: Pointer;
  readonly n_seq_id: Pointer;
  readonly seq_id: Pointer;
  readonly logits: Pointer;
}

export type Llama = ReturnType<typeof bindLlama>;

/** libllama's C functions; `llama.h` of llama.cpp documents them. Throws when another version is installed. */
export function bindLlama() {
  const ggml = loadGgml();
  const library = ggml.libraries.llama;
  const version = (library.func('const char *llama_version()') as unknown as () => string)();
  if (version !== expectedVersion) {
    throw new Error(`libllama ${version} is installed, but the reference is written for ${expectedVersion}: run npm ci.`);
  }
  const params = koffi.struct({ bytes: koffi.array('uint8', paramsSize, 'Typed') });
  const batch = koffi.struct({
    n_tokens: 'int32',
    token: 'void *',
    embd: 'void *',
    pos: 'void *',
    n_seq_id: 'void *',
    seq_id: 'void *',
    logits: 'void *',
  });
  type Type = string | typeof params;
  const bind = <F>(name: string, result: Type, parameters: Type[]) => library.func(name, result, parameters) as unknown as F;
  return {
    modelDefaults: bind<() => Params>('llama_model_default_params', params, []),
    contextDefaults: bind<() => Params>('llama_context_default_params', params, []),
    loadModel: bind<(path: string, params: Params) => Pointer | null>('llama_model_load_from_file', 'void *', ['const char *', params]),
    freeModel: bind<(model: Pointer) => void>('llama_model_free', 'void', ['void *']),
    newContext: bind<(model: Pointer, params: Params) => Pointer | null>('llama_init_from_model', 'void *', ['void *', params]),
    freeContext: bind<(context: Pointer) => void>('llama_free', 'void', ['void *']),
    contextLength: bind<(context: Pointer) => number>('llama_n_ctx', 'uint32', ['void *']),
    batchSize: bind<(context: Pointer) => number>('llama_n_batch', 'uint32', ['void *']),
    microBatchSize: bind<(context: Pointer) => number>('llama_n_ubatch', 'uint32', ['void *']),
    maxSequences: bind<(context: Pointer) => number>('llama_n_seq_max', 'uint32', ['void *']),
    threads: bind<(context: Pointer) => number>('llama_n_threads', 'int32', ['void *']),
    batchThreads: bind<(context: Pointer) => number>('llama_n_threads_batch', 'int32', ['void *']),
    sequenceLength: bind<(context: Pointer) => number>('llama_n_ctx_seq', 'uint32', ['void *']),

    vocabulary: bind<(model: Pointer) => Pointer>('llama_model_get_vocab', 'void *', ['void *']),
    vocabularySize: bind<(vocabulary: Pointer) => number>('llama_vocab_n_tokens', 'int32', ['void *']),
    tokenize: bind<
      (
        vocabulary: Pointer,
        text: Uint8Array,
        length: number,
        tokens: Int32Array,
        max: number,
        addSpecial: boolean,
        parseSpecial: boolean,
      ) => number
    >('llama_tokenize', 'int32', ['void *', 'const uint8_t *', 'int32', '_Out_ int32 *', 'int32', 'bool', 'bool']),
    piece: bind<
      (vocabulary: Pointer, token: number, buffer: Uint8Array, length: number, leadingSpaces: number, special: boolean) => number
    >('llama_token_to_piece', 'int32', ['void *', 'int32', '_Out_ uint8_t *', 'int32', 'int32', 'bool']),

    attachThreadpool: bind<(context: Pointer, single: Pointer, batched: Pointer) => void>('llama_attach_threadpool', 'void', [
      'void *',
      'void *',
      'void *',
    ]),
    decode: bind<(context: Pointer, batch: BatchStruct) => number>('llama_decode', 'int32', ['void *', batch]),
    encode: bind<(context: Pointer, batch: BatchStruct) => number>('llama_encode', 'int32', ['void *', batch]),
    wantEmbeddings: bind<(context: Pointer, wanted: boolean) => void>('llama_set_embeddings', 'void', ['void *', 'bool']),
    embeddingLength: bind<(model: Pointer) => number>('llama_model_n_embd', 'int32', ['void *']),
    sequenceEmbedding: bind<(context: Pointer, sequence: number) => Pointer | null>('llama_get_embeddings_seq', 'void *', [
      'void *',
      'int32',
    ]),
    logits: bind<(context: Pointer, index: number) => Pointer | null>('llama_get_logits_ith', 'void *', ['void *', 'int32']),
    memory: bind<(context: Pointer) => Pointer>('llama_get_memory', 'void *', ['void *']),
    clearMemory: bind<(memory: Pointer, data: boolean) => void>('llama_memory_clear', 'void', ['void *', 'bool']),
    removeSequence: bind<(memory: Pointer, sequence: number, from: number, to: number) => boolean>('llama_memory_seq_rm', 'bool', [
      'void *',
      'int32',
      'int32',
      'int32',
    ]),
    shiftSequence: bind<(memory: Pointer, sequence: number, from: number, to: number, by: number) => void>('llama_memory_seq_add', 'void', [
      'void *',
      'int32',
      'int32',
      'int32',
      'int32',
    ]),
  };
}
