import koffi from 'koffi';
import { AutoglmError, type EmbeddingModelInfo } from '@open-autoglm/protocol';
import type { Ggml, Pointer } from '../ggml/bindings.ts';
import { openDevice, type Device } from '../ggml/device.ts';
import { openGguf, type Gguf } from '../ggml/gguf.ts';
import { loadGgml } from '../ggml/library.ts';
import { checkTensorLayout } from '../ggml/tensor-layout.ts';
import { openVocabulary, type Vocabulary } from '../ggml/vocabulary.ts';
import { weightsFingerprint } from '../ggml/weights-fingerprint.ts';
import { ContextPool } from '../runner/context-pool.ts';
import { shown } from '../models/shown.ts';
import { bert } from './bert.ts';
import { EncoderGraph, groupLengths } from './encoder-graph.ts';
import { readEncoderSizes, type EncoderSizes } from './encoder-sizes.ts';
import { loadEncoderWeights, type EncoderWeights } from './encoder-weights.ts';
import { pool } from './pool.ts';

export interface EncoderOptions {
  readonly modelPath: string;
  /** The name that clients use. */
  readonly id: string;
  /** What the file came from, for people. */
  readonly source: string;
  readonly threads: number;
  /** How long ggml's threads spin for work, 0 … 100. */
  readonly poll: number;
  /** Tokens of one pass at most, where it holds more than one text. */
  readonly passTokens: number;
}

/** An embedding model in memory. */
export interface Encoder {
  readonly info: EmbeddingModelInfo;
  readonly vocabulary: Vocabulary;
  /** As the options say. */
  readonly passTokens: number;
  /**
   * One vector of length 1 for each text, in order. The texts are token ids, at least one each, that the vocabulary has, at
   * most `info.contextLength`; together no more than `passTokens`, or one. Texts of equal length should be neighbours.
   */
  encode(texts: readonly (readonly number[])[]): Float32Array[];
  close(): void;
}

/** Opens a GGUF of llama.cpp's architecture `bert`. Throws `engine_failed` with what to do about it. */
export function openEncoder(options: EncoderOptions): Encoder {
  const ggml = loadGgml();
  checkTensorLayout(ggml);
  const gguf = openGguf(ggml, options.modelPath);
  checkArchitecture(gguf);
  const sizes = readEncoderSizes(gguf);
  const vocabulary = openVocabulary(ggml, options.modelPath);
  const device = openDevice(ggml, options);
  const weights = loadEncoderWeights(ggml, device, gguf, sizes, vocabulary.size);
  const info = describe(ggml, gguf, vocabulary, options, sizes);
  gguf.close();
  const runner = new EncoderRunner({ ggml, device, sizes, weights, passTokens: Math.max(options.passTokens, sizes.trainedContext) });
  return {
    info,
    vocabulary,
    passTokens: options.passTokens,
    encode: (texts) => runner.encode(texts),
    close() {
      runner.close();
      weights.close();
      vocabulary.close();
      device.close();
    },
  };
}

function checkArchitecture(gguf: Gguf): void {
  const name = gguf.string('general.architecture');
  if (name === bert.name) return;
  throw new AutoglmError(
    'engine_failed',
    `${gguf.path} is a model of the architecture "${shown(name ?? 'unnamed')}", which makes no embeddings here: embeddings.model wants a "bert", such as bge or MiniLM.`,
  );
}

function describe(ggml: Ggml, gguf: Gguf, vocabulary: Vocabulary, { id, source }: EncoderOptions, sizes: EncoderSizes): EmbeddingModelInfo {
  const tensors = [...gguf.tensors.values()];
  return {
    id,
    source,
    architecture: bert.name,
    weightType: ggml.typeName(gguf.tensors.get('blk.0.ffn_down.weight')?.type ?? 0).toUpperCase(),
    weightBytes: tensors.reduce((sum, { size }) => sum + size, 0),
    weightsFingerprint: weightsFingerprint(gguf),
    parameterCount: tensors.reduce((sum, { shape }) => sum + shape[0] * shape[1] * shape[2] * shape[3], 0),
    vocabularySize: vocabulary.size,
    contextLength: sizes.trainedContext,
    dimensions: sizes.embeddingLength,
    pooling: sizes.pooling,
  };
}

interface RunnerParts {
  readonly ggml: Ggml;
  readonly device: Device;
  readonly sizes: EncoderSizes;
  readonly weights: EncoderWeights;
  /** The most that a pass may have. */
  readonly passTokens: number;
}

/** Nodes of a layer, and those that each group of one length adds to it: q, k, v, attention, its shape, place and copy. */
const [nodesPerLayer, nodesPerGroup] = [32, 8];

/** Builds and runs the graph of one pass after another; passes seldom have the same lengths, so none is kept. */
class EncoderRunner {
  readonly #parts: RunnerParts;
  readonly #allocator: Pointer;
  readonly #contexts: ContextPool;
  readonly #nodeCount: number;

  constructor(parts: RunnerParts) {
    const { ggml, device, sizes, passTokens } = parts;
    this.#parts = parts;
    this.#allocator = ggml.gallocrNew(device.bufferType);
    this.#nodeCount = (sizes.layerCount + 1) * (nodesPerLayer + nodesPerGroup * distinctLengthsMax(passTokens));
    this.#contexts = new ContextPool(ggml, ggml.tensorOverhead() * this.#nodeCount + ggml.graphOverhead(this.#nodeCount, false));
  }

  encode(texts: readonly (readonly number[])[]): Float32Array[] {
    const { ggml, device, sizes, weights } = this.#parts;
    const lengths = texts.map(({ length }) => length);
    const { context, close } = this.#contexts.open();
    try {
      const graph = ggml.newGraph(context, this.#nodeCount, false);
      const builder = new EncoderGraph({ ggml, context, graph, sizes, matrices: weights.matrices, groups: groupLengths(lengths) });
      const onlyFirst = sizes.pooling === 'cls';
      const output = weights.layers.reduce(
        (x, layer, index) => bert.layer(builder, x, layer, onlyFirst && index === sizes.layerCount - 1),
        bert.embed(builder, weights),
      );
      ggml.setOutput(output);
      ggml.buildForwardExpand(graph, output);
      if (!ggml.gallocrAlloc(this.#allocator, graph))
        throw new AutoglmError('engine_failed', 'There is not enough memory for a pass of embeddings.');
      fill(ggml, builder, texts, onlyFirst);
      const status = device.compute(graph);
      if (status !== 0) throw new AutoglmError('engine_crashed', `ggml could not compute a pass (status ${status}).`);
      const states = new Float32Array(koffi.view(ggml.getData(output), ggml.nbytes(output)));
      return pool(states, onlyFirst ? lengths.map(() => 1) : lengths, sizes);
    } finally {
      close();
    }
  }

  close(): void {
    this.#parts.ggml.gallocrFree(this.#allocator);
    this.#contexts.close();
  }
}

/** 1 + 2 + … + n tokens have n lengths. */
function distinctLengthsMax(tokens: number): number {
  return Math.ceil((Math.sqrt(8 * tokens + 1) - 1) / 2);
}

function fill(ggml: Ggml, { inputs }: EncoderGraph, texts: readonly (readonly number[])[], hasFirsts: boolean): void {
  const values = (tensor: Pointer) => new Int32Array(koffi.view(ggml.getData(tensor), ggml.nbytes(tensor)));
  const tokens = values(inputs.tokens);
  const positions = values(inputs.positions);
  values(inputs.type)[0] = 0;
  // An input that no node reads has no memory.
  const firsts = hasFirsts ? values(inputs.firsts) : undefined;
  let at = 0;
  for (const [index, text] of texts.entries()) {
    if (firsts) firsts[index] = at;
    for (const [place, token] of text.entries()) {
      tokens[at] = token;
      positions[at] = place;
      at += 1;
    }
  }
}
