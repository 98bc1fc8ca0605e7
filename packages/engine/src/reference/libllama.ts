import { AutoglmError } from '@open-autoglm/protocol';
import koffi from 'koffi';
import type { Pointer } from '../ggml/bindings.ts';
import { bindProcedures, newThreadpool } from '../ggml/device.ts';
import { loadGgml, takeGgmlErrors } from '../ggml/library.ts';
import { argmax } from '../sampler/argmax.ts';
import { openBatch, type ReferenceToken } from './batch.ts';
import { bindLlama, ContextField, type Llama, type Params } from './llama-bindings.ts';

export type { ReferenceToken } from './batch.ts';

/**
 * libllama of the same npm package as the engine's kernels, on the same GGUF: the yardstick of tests and benches. The
 * engine itself computes nothing with it.
 */
export interface Reference {
  readonly vocabularySize: number;
  /** Tokens that one sequence may hold. */
  readonly sequenceLength: number;
  /** Token ids; `addSpecial` adds what the model wants around every text, `parseControl` reads control tokens in it. */
  tokenize(text: string, options: { readonly parseControl: boolean; readonly addSpecial?: boolean }): number[];
  /** The bytes that a token stands for, or a control token's text. */
  tokenBytes(token: number): Uint8Array;
  /**
   * Evaluates the tokens in one call. Returns a row of logits for each that wants them, in order; they are valid until
   * the next call. Throws when a sequence is full or the batch is larger than `batchSize`.
   */
  evaluate(batch: readonly ReferenceToken[]): Float32Array[];
  /** As `evaluate`, but returns the likeliest token of each row. */
  evaluateGreedily(batch: readonly ReferenceToken[]): number[];
  /** Forgets a sequence's tokens at positions [from, to), and moves those behind them up: their keys are turned by the next call. */
  drop(sequence: number, from: number, to: number): void;
  /** Forgets a sequence, or all of them. */
  clear(sequence?: number): void;
  close(): void;
}

export interface ReferenceOptions {
  readonly modelPath: string;
  readonly threads: number;
  /** Tokens of all sequences together; libllama rounds each sequence's part up to a multiple of 256. */
  readonly contextLength: number;
  readonly maxSequences: number;
  /** Most tokens of one `evaluate`; 512 when not given, as libllama's own default for a micro-batch. */
  readonly batchSize?: number;
  /** Tokens computed at a time within a batch; the whole batch when not given. */
  readonly microBatchSize?: number;
  /** One KV buffer for all sequences, instead of a part for each; off when not given, as libllama's faster choice. */
  readonly unifiedCache?: boolean;
  /**
   * A pool of threads that is kept between calls, as llama.cpp's programs attach one; true when not given. Without it the library starts
   * its threads anew for every call.
   */
  readonly keepsThreads?: boolean;
}

/** Loads a GGUF. Throws when it cannot be loaded, or when the installed libllama is not the one this was written for. */
export function openReference(options: ReferenceOptions): Reference {
  const llama = bindLlama();
  const model = llama.loadModel(options.modelPath, llama.modelDefaults());
  if (!model) throw new AutoglmError('engine_failed', `libllama cannot load ${options.modelPath}: ${takeGgmlErrors()}`);
  const context = openContext(llama, model, options);
  const threadpool = (options.keepsThreads ?? true) ? attachThreadpool(llama, context, options.threads) : undefined;
  const memory = llama.memory(context);
  const vocabulary = llama.vocabulary(model);
  const vocabularySize = llama.vocabularySize(vocabulary);
  const batch = openBatch(options.batchSize ?? defaultBatchSize);
  const evaluate = (tokens: readonly ReferenceToken[]) => {
    const status = llama.decode(context, batch.fill(tokens));
    if (status !== 0) throw new Error(`llama_decode failed with ${status} (1: no room in the context): ${takeGgmlErrors()}`);
    return tokens.flatMap((token, index) => (token.wantsLogits ? [logitsRow(llama, context, index, vocabularySize)] : []));
  };
  return {
    vocabularySize,
    sequenceLength: llama.sequenceLength(context),
    tokenize: (text, { parseControl, addSpecial = false }) => tokenize(llama, vocabulary, text, addSpecial, parseControl),
    tokenBytes: (token) => tokenBytes(llama, vocabulary, token),
    evaluate,
    evaluateGreedily: (tokens) => evaluate(tokens).map(argmax),
    drop(sequence, from, to) {
      llama.removeSequence(memory, sequence, from, to);
      llama.shiftSequence(memory, sequence, to, -1, from - to);
    },
    clear(sequence) {
      if (sequence === undefined) llama.clearMemory(memory, false);
      else llama.removeSequence(memory, sequence, -1, -1);
    },
    close() {
      batch.free();
      llama.freeContext(context);
      llama.freeModel(model);
      threadpool?.free();
    },
  };
}

const defaultBatchSize = 512;

export function openContext(llama: Llama, model: Pointer, options: ReferenceOptions): Pointer {
  const context = llama.newContext(model, contextParams(llama, options));
  if (!context) {
    llama.freeModel(model);
    throw new Error(`libllama cannot make a context of ${options.contextLength} tokens: ${takeGgmlErrors()}`);
  }
  // What the library says it understood tells whether the fields were written where it reads them.
  const understood =
    llama.contextLength(context) >= options.contextLength &&
    llama.maxSequences(context) === options.maxSequences &&
    llama.threads(context) === options.threads &&
    llama.batchThreads(context) === options.threads;
  if (!understood) throw new Error('libllama lays out its parameters in another way than the pinned version: run npm ci.');
  return context;
}

function contextParams(llama: Llama, options: ReferenceOptions): Params {
  const params = llama.contextDefaults();
  const { batchSize = defaultBatchSize, microBatchSize = batchSize, unifiedCache = false } = options;
  const fields = new DataView(params.bytes.buffer, params.bytes.byteOffset);
  const set = (offset: number, value: number) => fields.setInt32(offset, value, true);
  set(ContextField.CONTEXT_LENGTH, options.contextLength);
  set(ContextField.BATCH_SIZE, batchSize);
  set(ContextField.MICRO_BATCH_SIZE, microBatchSize);
  set(ContextField.MAX_SEQUENCES, options.maxSequences);
  set(ContextField.THREADS, options.threads);
  set(ContextField.BATCH_THREADS, options.threads);
  fields.setUint8(ContextField.UNIFIED_CACHE, Number(unifiedCache));
  return params;
}

function logitsRow(llama: Llama, context: Pointer, index: number, vocabularySize: number): Float32Array {
  const row = llama.logits(context, index);
  if (!row) throw new Error(`libllama has no logits for token ${index} of the batch`);
  return new Float32Array(koffi.view(row, vocabularySize * Float32Array.BYTES_PER_ELEMENT));
}

export function attachThreadpool(llama: Llama, context: Pointer, threads: number): { free(): void } {
  const ggml = loadGgml();
  const procedures = bindProcedures(ggml, ggml.devRegistry(ggml.backendDevGet(0)));
  const threadpool = newThreadpool(ggml, procedures, { threads, poll: defaultPoll });
  llama.attachThreadpool(context, threadpool, threadpool);
  return { free: () => procedures.freeThreadpool(threadpool) };
}

/** ggml's own default, half-way between sleeping and spinning. */
const defaultPoll = 50;

const utf8 = new TextEncoder();

export function tokenize(llama: Llama, vocabulary: Pointer, text: string, addSpecial: boolean, parseControl: boolean): number[] {
  const bytes = utf8.encode(text);
  // A token is at least a byte, but a vocabulary may put a space or special tokens around the text.
  const tokens = new Int32Array(bytes.length + 8);
  const count = llama.tokenize(vocabulary, bytes, bytes.length, tokens, tokens.length, addSpecial, parseControl);
  if (count < 0) throw new Error(`libllama wants room for ${-count} tokens of ${bytes.length} bytes`);
  return Array.from(tokens.subarray(0, count));
}

/** Longer than any token of a vocabulary in use. */
const pieceLimit = 1024;

function tokenBytes(llama: Llama, vocabulary: Pointer, token: number): Uint8Array {
  const buffer = new Uint8Array(pieceLimit);
  const length = llama.piece(vocabulary, token, buffer, buffer.length, 0, true);
  if (length < 0) throw new Error(`token ${token} has ${-length} bytes, more than ${pieceLimit}`);
  return buffer.slice(0, length);
}
