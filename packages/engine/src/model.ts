import { totalmem } from 'node:os';
import { AutoglmError, type ModelInfo } from '@open-autoglm/protocol';
import { architectureOf } from './architectures/index.ts';
import { readHyperparameters } from './architectures/hyperparameters.ts';
import type { Ggml } from './ggml/bindings.ts';
import { openDevice, type Device } from './ggml/device.ts';
import { openGguf, type Gguf, type GgufTensor } from './ggml/gguf.ts';
import { loadGgml } from './ggml/library.ts';
import { checkTensorLayout } from './ggml/tensor-layout.ts';
import { openVocabulary, type Vocabulary } from './ggml/vocabulary.ts';
import { weightsFingerprint } from './ggml/weights-fingerprint.ts';
import type { KvCache } from './kv-cache/kv-cache.ts';
import { openKvCache, type KvCacheOptions } from './kv-cache/open-kv-cache.ts';
import type { VirtualMemory } from './kv-cache/virtual-memory.ts';
import { planColumns, unplanned, type ColumnPlans } from './runner/batch-plan.ts';
import { measureProductCosts } from './runner/product-costs.ts';
import { Runner } from './runner/runner.ts';
import { loadWeights, type Weights } from './runner/weights.ts';

export interface ModelOptions {
  readonly modelPath: string;
  /** The name that clients use. */
  readonly id: string;
  /** What the file came from, for people. */
  readonly source: string;
  readonly threads: number;
  /** How long ggml's threads spin for work, 0 … 100. */
  readonly poll: number;
  /** Tokens that one sequence may hold; the model's own limit bounds it. */
  readonly contextLength: number;
  readonly maxBatchSize: number;
  /** Prompt tokens that one graph takes. */
  readonly maxChunk: number;
  /** Full when not given. */
  readonly tuning?: ModelTuning;
  /** Static in f16 when not given. */
  readonly kvCache?: KvCacheOptions;
  /** Another one than the system's only to test what refusals do. */
  readonly openMemory?: () => VirtualMemory;
  /** Of a model with the same weights, so that a comparison of the two compares nothing else; measured when not given. */
  readonly columnPlans?: ColumnPlans;
}

/** What is done for speed alone, so that a measurement can leave it out. */
export interface ModelTuning {
  /** q, k and v in one product, gate and up in another. */
  readonly fusesMatrices: boolean;
  /** Graphs of shapes seen before are used again. */
  readonly keepsGraphs: boolean;
  /** Products go the way that was measured fastest; else all together, as ggml has it. */
  readonly measuresProducts: boolean;
}

const fullTuning: ModelTuning = { fusesMatrices: true, keepsGraphs: true, measuresProducts: true };

/** A model in memory, ready to compute. */
export interface LoadedModel {
  readonly info: ModelInfo;
  readonly device: Device;
  readonly vocabulary: Vocabulary;
  readonly cache: KvCache;
  readonly runner: Runner;
  /** How products are multiplied, by their width. */
  readonly columnPlans: ColumnPlans;
  /** For people: what is not as it was asked for, and why. */
  readonly notice: string | undefined;
  /** Bytes of weights that a decode step reads. */
  readonly bytesReadPerStep: number;
  close(): void;
}

/** Opens a GGUF and makes it ready. Throws `engine_failed` with what to do about it. */
export function openModel(options: ModelOptions): LoadedModel {
  const ggml = loadGgml();
  const tuning = options.tuning ?? fullTuning;
  checkTensorLayout(ggml);
  const gguf = openGguf(ggml, options.modelPath);
  const architecture = architectureOf(gguf);
  const sizes = readHyperparameters(gguf, architecture.name);
  checkMemory(gguf);
  const vocabulary = openVocabulary(ggml, options.modelPath);
  const device = openDevice(ggml, options);
  const weights = loadWeights(ggml, device, gguf, sizes, architecture.tensors, vocabulary.size, tuning.fusesMatrices);
  const kvCache = options.kvCache ?? { strategy: 'static', type: 'f16' };
  const wantedLength = Math.min(options.contextLength, sizes.trainedContext);
  const { cache, notice: cacheNotice } = openKvCache(
    { ggml, device, sizes, maxSequences: options.maxBatchSize, contextLength: wantedLength },
    kvCache,
    options.openMemory,
  );
  // What one sequence cannot hold even alone is no context.
  const contextLength = Math.min(wantedLength, cache.maxSequenceTokens);
  const notice =
    contextLength < wantedLength
      ? `The KV cache has room for ${contextLength} tokens: the context is no longer than that (model_config.kv_cache_bytes).`
      : cacheNotice;
  const measured = () =>
    tuning.measuresProducts
      ? planColumns(measureProductCosts({ ggml, device, matrices: weights.matrices }), options.maxBatchSize)
      : unplanned;
  const columnPlans = options.columnPlans ?? measured();
  const runner = new Runner({
    ggml,
    device,
    architecture,
    sizes,
    weights,
    cache,
    columnPlans,
    vocabularySize: vocabulary.size,
    keepsGraphs: tuning.keepsGraphs,
  });
  runner.warmUp(Math.min(options.maxChunk, contextLength));
  const info = describe(ggml, gguf, vocabulary, options, contextLength);
  gguf.close();
  return {
    info,
    device,
    vocabulary,
    cache,
    runner,
    columnPlans,
    notice,
    bytesReadPerStep: weights.bytesReadPerStep,
    close: () => closeAll(runner, cache, weights, vocabulary, device),
  };
}

function closeAll(runner: Runner, cache: KvCache, weights: Weights, vocabulary: Vocabulary, device: Device): void {
  runner.close();
  cache.close();
  weights.close();
  vocabulary.close();
  device.close();
}

/** ggml aborts the process when memory runs out in the middle; better to say so before. */
function checkMemory(gguf: Gguf): void {
  const bytes = weightBytes(gguf);
  if (bytes < totalmem()) return;
  const gigabytes = (value: number) => (value / 1e9).toFixed(1);
  throw new AutoglmError(
    'engine_failed',
    `${gguf.path} has ${gigabytes(bytes)} GB of weights, and this machine has ${gigabytes(totalmem())} GB of memory: use a smaller or more strongly quantized model.`,
  );
}

function weightBytes(gguf: Gguf): number {
  return [...gguf.tensors.values()].reduce((sum, tensor) => sum + tensor.size, 0);
}

/** Most of the layers' weights have it: quantizers give some matrices more bits than the rest. */
function commonestType(tensors: readonly GgufTensor[]): number {
  const counts = new Map<number, number>();
  for (const { name, type, shape } of tensors)
    if (name.startsWith('blk.')) counts.set(type, (counts.get(type) ?? 0) + shape[0] * shape[1] * shape[2] * shape[3]);
  return [...counts].reduce((a, b) => (b[1] > a[1] ? b : a))[0];
}

function describe(ggml: Ggml, gguf: Gguf, vocabulary: Vocabulary, options: ModelOptions, contextLength: number): ModelInfo {
  const tensors = [...gguf.tensors.values()];
  const name = (token: number | undefined) => (token === undefined ? undefined : vocabulary.name(token));
  return {
    id: options.id,
    source: options.source,
    architecture: gguf.string('general.architecture') as string,
    weightType: ggml.typeName(commonestType(tensors)).toUpperCase(),
    weightBytes: weightBytes(gguf),
    weightsFingerprint: weightsFingerprint(gguf),
    parameterCount: tensors.reduce((sum, { shape }) => sum + shape[0] * shape[1] * shape[2] * shape[3], 0),
    vocabularySize: vocabulary.size,
    contextLength,
    chatTemplate: gguf.string('tokenizer.chat_template'),
    bosToken: name(vocabulary.bos),
    eosToken: name(vocabulary.eos),
    controlTokens: vocabulary.controlTokens,
  };
}
