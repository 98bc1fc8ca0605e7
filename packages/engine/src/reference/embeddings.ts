import koffi from 'koffi';
import { takeGgmlErrors } from '../ggml/library.ts';
import { openBatch } from './batch.ts';
import { attachThreadpool, openContext, tokenize } from './libllama.ts';
import { bindLlama } from './llama-bindings.ts';

/** libllama's embeddings of the same GGUF: the yardstick of tests and benches. */
export interface EmbeddingReference {
  readonly dimensions: number;
  /** Token ids, with those that the model wants at both ends. */
  tokenize(text: string): number[];
  /**
   * One vector for each text, as the model pools it and not normalised. All in one call: throws when they are more than `batchSize` tokens,
   * or more than `maxSequences`.
   */
  embed(texts: readonly (readonly number[])[]): Float32Array[];
  close(): void;
}

export interface EmbeddingReferenceOptions {
  readonly modelPath: string;
  readonly threads: number;
  /** Most tokens of one `embed`. */
  readonly batchSize: number;
  /** Most texts of one `embed`. */
  readonly maxSequences: number;
}

/** Loads a GGUF of an encoder. Throws when it cannot be loaded, or when the installed libllama is not the one this was written for. */
export function openEmbeddingReference({ modelPath, threads, batchSize, maxSequences }: EmbeddingReferenceOptions): EmbeddingReference {
  const llama = bindLlama();
  const model = llama.loadModel(modelPath, llama.modelDefaults());
  if (!model) throw new Error(`libllama cannot load ${modelPath}: ${takeGgmlErrors()}`);
  // A text must lie in one micro-batch: its tokens look at each other.
  const context = openContext(llama, model, { modelPath, threads, contextLength: batchSize, maxSequences, batchSize, unifiedCache: true });
  llama.wantEmbeddings(context, true);
  const threadpool = attachThreadpool(llama, context, threads);
  const vocabulary = llama.vocabulary(model);
  const dimensions = llama.embeddingLength(model);
  const batch = openBatch(batchSize);
  return {
    dimensions,
    tokenize: (text) => tokenize(llama, vocabulary, text, true, false),
    embed(texts) {
      const tokens = texts.flatMap((text, sequence) => text.map((token, position) => ({ token, position, sequence, wantsLogits: true })));
      const status = llama.encode(context, batch.fill(tokens));
      if (status !== 0) throw new Error(`llama_encode failed with ${status}: ${takeGgmlErrors()}`);
      return texts.map((_, sequence) => {
        const vector = llama.sequenceEmbedding(context, sequence);
        if (!vector) throw new Error(`libllama has no embedding of text ${sequence}`);
        return new Float32Array(koffi.view(vector, dimensions * Float32Array.BYTES_PER_ELEMENT)).slice();
      });
    },
    close() {
      batch.free();
      llama.freeContext(context);
      llama.freeModel(model);
      threadpool.free();
    },
  };
}
