import { closeSync, openSync, readSync } from 'node:fs';
import { AutoglmError } from '@open-autoglm/protocol';
import type { Hyperparameters } from '../architectures/hyperparameters.ts';
import type { LayerTensors } from '../architectures/layer-tensors.ts';
import type { Ggml, Pointer } from '../ggml/bindings.ts';
import type { Device } from '../ggml/device.ts';
import type { Gguf, GgufTensor } from '../ggml/gguf.ts';
import { useHugePages } from '../ggml/huge-pages.ts';
import { GgmlType } from '../ggml/types.ts';
import { shown } from '../models/shown.ts';

/** Matrices that share their input, as one product when they share their type, else one by one. */
export type FusedMatrix =
  | { readonly fused: true; readonly weight: Pointer; readonly bias: Pointer | undefined }
  | { readonly fused: false; readonly weights: readonly Pointer[]; readonly biases: readonly (Pointer | undefined)[] };

/** A matrix that multiplies: [columns, rows]. */
export interface WeightMatrix {
  readonly tensor: Pointer;
  readonly columns: number;
  readonly rows: number;
  readonly type: number;
  /** Laid out as in the file, not rearranged for some kernel. */
  readonly isPlain: boolean;
  /** The same memory with rows of zeros after its own, where many columns are multiplied faster by that. */
  readonly widened: Pointer | undefined;
}

export interface LayerWeights {
  readonly index: number;
  readonly attentionNorm: Pointer;
  /** q, k, v. */
  readonly attentionInput: FusedMatrix;
  /** [headLength, headCount + kvHeadCount]: q's norm for each of its heads, then k's for each of its own. */
  readonly headNorms: Pointer | undefined;
  readonly attentionOutput: Pointer;
  readonly attentionPostNorm: Pointer | undefined;
  readonly feedForwardNorm: Pointer;
  /** gate, up. */
  readonly feedForwardInput: FusedMatrix;
  readonly feedForwardOutput: Pointer;
  readonly feedForwardPostNorm: Pointer | undefined;
}

export interface Weights {
  readonly tokenEmbedding: Pointer;
  readonly outputNorm: Pointer;
  readonly output: Pointer;
  /** Per-dimension divisors of the RoPE frequencies (llama 3.1), where the model has them. */
  readonly ropeFactors: Pointer | null;
  readonly layers: readonly LayerWeights[];
  /** All that multiply. */
  readonly matrices: readonly WeightMatrix[];
  /** Bytes that a decode step reads: every matrix once, of the embedding one row. */
  readonly bytesReadPerStep: number;
  close(): void;
}

/** A tensor to make: the rows of one or more file tensors, one after another. */
interface Placement {
  readonly tensor: Pointer;
  readonly parts: readonly GgufTensor[];
  /** Bytes; beyond the parts zeros. */
  readonly size: number;
}

/** Reads a model's tensors into buffers of the types that the device's kernels like best. Throws `engine_failed`. */
export function loadWeights(
  ggml: Ggml,
  device: Device,
  gguf: Gguf,
  sizes: Hyperparameters,
  kinds: LayerTensors,
  vocabularySize: number,
  fusesMatrices = true,
): Weights {
  const loader = new WeightLoader(ggml, device, gguf, fusesMatrices);
  const layers = Array.from({ length: sizes.layerCount }, (_, index) => layerWeights(loader, sizes, kinds, index));
  const { embeddingLength } = sizes;
  const weights = {
    tokenEmbedding: loader.table('token_embd.weight', embeddingLength, vocabularySize),
    outputNorm: loader.vector('output_norm.weight', embeddingLength),
    // A tied embedding is also read row by row, which only the plain buffer type can: kernels that
    // want another layout get a copy of their own.
    output: loader.matrix(loader.has('output.weight') ? 'output.weight' : 'token_embd.weight', embeddingLength, vocabularySize, false),
    ropeFactors: loader.has('rope_freqs.weight') ? loader.vector('rope_freqs.weight', sizes.ropeDimensions / 2) : null,
    layers,
  };
  return { ...weights, matrices: loader.matrices, bytesReadPerStep: loader.bytesReadPerStep, close: loader.load() };
}

function layerWeights(loader: WeightLoader, sizes: Hyperparameters, kinds: LayerTensors, index: number): LayerWeights {
  const { embeddingLength, feedForwardLength, headLength, headCount, kvHeadCount } = sizes;
  const name = (part: string) => `blk.${index}.${part}`;
  const vector = (part: string) => loader.vector(name(`${part}.weight`), embeddingLength);
  const [q, k] = [headCount * headLength, kvHeadCount * headLength];
  const attention = [
    ['attn_q', q],
    ['attn_k', k],
    ['attn_v', k],
  ] as const;
  const hasBias = kinds.attentionBias === 'always' || (kinds.attentionBias === 'if-present' && loader.has(name('attn_q.bias')));
  const parts = (suffix: string, list: readonly (readonly [string, number])[]) =>
    list.map(([part, rows]) => ({ name: name(`${part}.${suffix}`), rows }));
  const gateAndUp = kinds.fusedGateUp
    ? ([['ffn_up', 2 * feedForwardLength]] as const)
    : ([
        ['ffn_gate', feedForwardLength],
        ['ffn_up', feedForwardLength],
      ] as const);
  return {
    index,
    attentionNorm: vector('attn_norm'),
    attentionInput: loader.fused(embeddingLength, parts('weight', attention), hasBias ? parts('bias', attention) : undefined),
    headNorms: kinds.headNorms
      ? loader.repeated(headLength, [
          [name('attn_q_norm.weight'), headCount],
          [name('attn_k_norm.weight'), kvHeadCount],
        ])
      : undefined,
    attentionOutput: loader.matrix(name('attn_output.weight'), q, embeddingLength),
    attentionPostNorm: kinds.postNorms ? vector('post_attention_norm') : undefined,
    feedForwardNorm: vector('ffn_norm'),
    feedForwardInput: loader.fused(embeddingLength, parts('weight', gateAndUp)),
    feedForwardOutput: loader.matrix(name('ffn_down.weight'), feedForwardLength, embeddingLength),
    feedForwardPostNorm: kinds.postNorms ? vector('post_ffw_norm') : undefined,
  };
}

/** Rows of a matrix, or elements of a bias, that stand under a name. */
interface NamedRows {
  readonly name: string;
  readonly rows: number;
}

/** Collects the tensors that a model asks for, and reads them all at once in the end. */
export class WeightLoader {
  readonly #ggml: Ggml;
  readonly #device: Device;
  readonly #gguf: Gguf;
  readonly #fusesMatrices: boolean;
  /** One context of tensors for each buffer type. */
  readonly #contexts = new Map<Pointer, Pointer>();
  readonly #placements: Placement[] = [];
  readonly #tables = new Map<string, Pointer>();
  /** Names that the model has asked for. */
  readonly #used = new Set<string>();
  readonly matrices: WeightMatrix[] = [];
  bytesReadPerStep = 0;

  constructor(ggml: Ggml, device: Device, gguf: Gguf, fusesMatrices: boolean) {
    this.#fusesMatrices = fusesMatrices;
    this.#ggml = ggml;
    this.#device = device;
    this.#gguf = gguf;
  }

  has(name: string): boolean {
    return this.#gguf.tensors.has(name);
  }

  /** A tensor used element by element; f32, as ggml's CPU operations want it. */
  vector(name: string, length: number): Pointer {
    return this.#place(this.#device.bufferType, [this.#findVector(name, length)]);
  }

  /** Vectors as rows of a matrix, each as often as said. */
  repeated(length: number, rows: readonly (readonly [string, number])[]): Pointer {
    const parts = rows.flatMap(([name, count]) => new Array<GgufTensor>(count).fill(this.#findVector(name, length)));
    const tensor = this.#ggml.newTensor2d(this.#contextFor(this.#device.bufferType), GgmlType.F32, length, parts.length);
    this.#placements.push({ tensor, parts, size: sizeOf(parts) });
    return tensor;
  }

  /** A matrix read by rows. */
  table(name: string, columns: number, rows: number): Pointer {
    return this.#table(this.#find(name, columns, rows));
  }

  /** A matrix that multiplies. `mayWiden`: its products need not be contiguous. */
  matrix(name: string, columns: number, rows: number, mayWiden = true): Pointer {
    return this.#matrix([this.#find(name, columns, rows)], mayWiden);
  }

  fused(columns: number, matrices: readonly NamedRows[], biasNames?: readonly NamedRows[]): FusedMatrix {
    const sources = matrices.map(({ name, rows }) => this.#find(name, columns, rows));
    const biases = biasNames?.map(({ name, rows }) => this.#findVector(name, rows));
    const alike = (this.#fusesMatrices || sources.length === 1) && sources.every((source) => source.type === sources[0]?.type);
    if (alike) {
      return { fused: true, weight: this.#matrix(sources), bias: biases && this.#place(this.#device.bufferType, biases) };
    }
    return {
      fused: false,
      weights: sources.map((source) => this.#matrix([source])),
      biases: sources.map((_, index) => biases?.[index] && this.#place(this.#device.bufferType, [biases[index]])),
    };
  }

  #table(source: GgufTensor): Pointer {
    const tensor = this.#tables.get(source.name) ?? this.#place(this.#device.bufferType, [source]);
    this.#tables.set(source.name, tensor);
    return tensor;
  }

  #matrix(parts: readonly GgufTensor[], mayWiden = true): Pointer {
    const [first] = parts as [GgufTensor];
    const rows = parts.reduce((sum, part) => sum + part.shape[1], 0);
    const bufferType = this.#device.bufferTypeFor(first.type, first.shape[0], rows);
    const isPlain = bufferType === this.#device.bufferType;
    this.bytesReadPerStep += sizeOf(parts);
    const spareRows = mayWiden ? this.#device.spareRowsFor(bufferType, first.type, rows) : 0;
    const placed = isPlain && parts.length === 1 ? this.#table(first) : this.#place(bufferType, parts, spareRows);
    const widened = spareRows === 0 ? undefined : placed;
    const tensor = widened
      ? this.#ggml.view2d(this.#contextFor(bufferType), widened, first.shape[0], rows, this.#ggml.rowSize(first.type, first.shape[0]), 0)
      : placed;
    this.matrices.push({ tensor, columns: first.shape[0], rows, type: first.type, isPlain, widened });
    return tensor;
  }

  #place(bufferType: Pointer, parts: readonly GgufTensor[], spareRows = 0): Pointer {
    const [first] = parts as [GgufTensor];
    const context = this.#contextFor(bufferType);
    const isMatrix = first.shape[1] > 1;
    const axis = isMatrix ? 1 : 0;
    const length = parts.reduce((sum, part) => sum + part.shape[axis], 0);
    const tensor = isMatrix
      ? this.#ggml.newTensor2d(context, first.type, first.shape[0], length + spareRows)
      : this.#ggml.newTensor1d(context, first.type, length);
    this.#placements.push({
      tensor,
      parts,
      size: sizeOf(parts) + (spareRows === 0 ? 0 : spareRows * this.#ggml.rowSize(first.type, first.shape[0])),
    });
    return tensor;
  }

  #contextFor(bufferType: Pointer): Pointer {
    let context = this.#contexts.get(bufferType);
    if (!context) {
      // A tensor and a view of it for each of the file's.
      const size = this.#ggml.tensorOverhead() * 2 * (this.#gguf.tensors.size + 8);
      context = this.#ggml.init({ mem_size: size, mem_buffer: null, no_alloc: true });
      this.#contexts.set(bufferType, context);
    }
    return context;
  }

  /** Allocates the buffers and reads the file. Returns what releases them. */
  load(): () => void {
    this.#refuseUnused();
    const buffers: Pointer[] = [];
    const close = () => {
      for (const buffer of buffers) this.#ggml.bufferFree(buffer);
      for (const context of this.#contexts.values()) this.#ggml.free(context);
    };
    const file = openSync(this.#gguf.path, 'r');
    try {
      for (const [bufferType, context] of this.#contexts) {
        const buffer = this.#ggml.allocTensors(context, bufferType);
        if (!buffer) throw this.#unusable('there is not enough memory for its weights');
        this.#ggml.bufferSetUsage(buffer, bufferUsageWeights);
        useHugePages(this.#ggml, buffer);
        buffers.push(buffer);
      }
      const largest = Math.max(...this.#placements.map((placement) => placement.size));
      const scratch = new Uint8Array(largest);
      for (const placement of this.#placements) this.#read(file, placement, scratch);
    } catch (error) {
      close();
      throw error;
    } finally {
      closeSync(file);
    }
    return close;
  }

  #read(file: number, placement: Placement, scratch: Uint8Array): void {
    let filled = 0;
    for (const part of placement.parts) {
      for (let read = 0; read < part.size;) {
        const count = readSync(file, scratch, filled, part.size - read, part.offset + read);
        if (count === 0) throw this.#unusable(`it ends inside the tensor ${part.name}`);
        read += count;
        filled += count;
      }
    }
    scratch.fill(0, filled, placement.size);
    // Whole tensors only: buffer types that rearrange weights take nothing less.
    this.#ggml.tensorSet(placement.tensor, scratch, 0, placement.size);
  }

  #findVector(name: string, length: number): GgufTensor {
    const tensor = this.#find(name, length, 1);
    if (tensor.type !== GgmlType.F32) throw this.#unusable(`the tensor ${name} is not f32`);
    return tensor;
  }

  /** ggml would abort the process over a tensor of another shape, or of a type that it has no product for. */
  #find(name: string, columns: number, rows: number): GgufTensor {
    const tensor = this.#gguf.tensors.get(name);
    this.#used.add(name);
    if (!tensor) throw this.#unusable(`the tensor ${name} is missing`);
    const isFitting = tensor.shape[0] === columns && tensor.shape[1] === rows && tensor.shape[2] * tensor.shape[3] === 1;
    if (!isFitting)
      throw this.#unusable(
        `the tensor ${name} is ${tensor.shape[0]} × ${tensor.shape[1]}, not ${columns} × ${rows} as its hyperparameters want`,
      );
    if (unmultiplied.has(tensor.type))
      throw this.#unusable(`the tensor ${name} has the type ${this.#ggml.typeName(tensor.type)}, which no weights have`);
    return tensor;
  }

  /** A tensor that nothing multiplies by means another computation than this architecture: its answers would be wrong. */
  #refuseUnused(): void {
    const unused = [...this.#gguf.tensors.keys()].find((name) => !this.#used.has(name) && !isDerived.test(name));
    if (unused !== undefined) throw this.#unusable(`this engine does not know what its tensor ${shown(unused)} is for`);
  }

  #unusable(reason: string): AutoglmError {
    return new AutoglmError(
      'engine_failed',
      `${this.#gguf.path} cannot be used: ${reason}. Download it again, or give another with --model FILE.gguf.`,
    );
  }
}

/** What ggml can store and not multiply by: whole numbers, doubles, and what it makes of activations (q8_1, q8_k). */
const unmultiplied: ReadonlySet<number> = new Set([9, 15, 24, 25, 26, 27, 28]);

/** Old converters stored what follows from the hyperparameters. */
const isDerived = /rot_embd\.weight$|rotary_emb\.inv_freq$/;

/** `GGML_BACKEND_BUFFER_USAGE_WEIGHTS`. */
const bufferUsageWeights = 1;

function sizeOf(parts: readonly GgufTensor[]): number {
  return parts.reduce((sum, part) => sum + part.size, 0);
}
