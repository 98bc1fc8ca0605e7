import { closeSync, openSync, readSync } from 'node:fs';
import { AutoglmError } from '@open-autoglm/protocol';
import type { Hyperparameters } from '../architectures/hyperparameters.ts';
import type { Ggml, Pointer } from '../ggml/bindings.ts';
import type { Device } from '../ggml/device.ts';
import type { Gguf, GgufTensor } from '../ggml/gguf.ts';
import { GgmlType } from '../ggml/types.ts';

/** Matrices that share their input, as one product when they share their type, else one by one. */
export type FusedMatrix =
  | { readonly fused: true; readonly weight: Pointer; readonly bias: Pointer | undefined }
  | { readonly fused: false; readonly weights: readonly Pointer[]; readonly biases: readonly (Pointer | undefined)[] };

export interface LayerWeights {
  readonly index: number;
  readonly attentionNorm: Pointer;
  /** q, k, v. */
  readonly attentionInput: FusedMatrix;
  readonly attentionOutput: Pointer;
  readonly feedForwardNorm: Pointer;
  /** gate, up. */
  readonly feedForwardInput: FusedMatrix;
  readonly feedForwardOutput: Pointer;
}

export interface Weights {
  readonly tokenEmbedding: Pointer;
  readonly outputNorm: Pointer;
  readonly output: Pointer;
  /** Per-dimension divisors of the RoPE frequencies (llama 3.1), where the model has them. */
  readonly ropeFactors: Pointer | null;
  readonly layers: readonly LayerWeights[];
  /** Bytes that a decode step reads: every matrix once, of the embedding one row. */
  readonly bytesReadPerStep: number;
  close(): void;
}

/** A tensor to make: the rows of one or more file tensors, one after another. */
interface Placement {
  readonly tensor: Pointer;
  readonly parts: readonly GgufTensor[];
  readonly size: number;
}

/** Reads a model's tensors into buffers of the types that the device's kernels like best. Throws `engine_failed`. */
export function loadWeights(ggml: Ggml, device: Device, gguf: Gguf, sizes: Hyperparameters, hasAttentionBias: boolean): Weights {
  const loader = new WeightLoader(ggml, device, gguf);
  const layers = Array.from({ length: sizes.layerCount }, (_, index) => {
    const name = (part: string) => `blk.${index}.${part}`;
    const biases = (parts: string[]) => (hasAttentionBias ? parts.map((part) => name(`${part}.bias`)) : undefined);
    const attention = ['attn_q', 'attn_k', 'attn_v'];
    return {
      index,
      attentionNorm: loader.vector(name('attn_norm.weight')),
      attentionInput: loader.fused(attention.map((part) => name(`${part}.weight`)), biases(attention)),
      attentionOutput: loader.matrix(name('attn_output.weight')),
      feedForwardNorm: loader.vector(name('ffn_norm.weight')),
      feedForwardInput: loader.fused([name('ffn_gate.weight'), name('ffn_up.weight')]),
      feedForwardOutput: loader.matrix(name('ffn_down.weight')),
    };
  });
  const tied = !gguf.tensors.has('output.weight');
  const weights = {
    tokenEmbedding: loader.table('token_embd.weight'),
    outputNorm: loader.vector('output_norm.weight'),
    // A tied embedding is also read row by row, which only the plain buffer type can: kernels that
    // want another layout get a copy of their own.
    output: loader.matrix(tied ? 'token_embd.weight' : 'output.weight'),
    ropeFactors: gguf.tensors.has('rope_freqs.weight') ? loader.vector('rope_freqs.weight') : null,
    layers,
  };
  return { ...weights, bytesReadPerStep: loader.bytesReadPerStep, close: loader.load() };
}

class WeightLoader {
  readonly #ggml: Ggml;
  readonly #device: Device;
  readonly #gguf: Gguf;
  /** One context of tensors for each buffer type. */
  readonly #contexts = new Map<Pointer, Pointer>();
  readonly #placements: Placement[] = [];
  readonly #tables = new Map<string, Pointer>();
  bytesReadPerStep = 0;

  constructor(ggml: Ggml, device: Device, gguf: Gguf) {
    this.#ggml = ggml;
    this.#device = device;
    this.#gguf = gguf;
  }

  /** A tensor used element by element; f32, as ggml's CPU operations want it. */
  vector(name: string): Pointer {
    const source = this.#find(name);
    if (source.type !== GgmlType.F32) throw this.#unusable(`${name} is not f32`);
    return this.#place(this.#device.bufferType, [source]);
  }

  /** A matrix read by rows. */
  table(name: string): Pointer {
    const tensor = this.#tables.get(name) ?? this.#place(this.#device.bufferType, [this.#find(name)]);
    this.#tables.set(name, tensor);
    return tensor;
  }

  /** A matrix that multiplies. */
  matrix(name: string): Pointer {
    return this.#matrix([this.#find(name)]);
  }

  fused(names: readonly string[], biasNames?: readonly string[]): FusedMatrix {
    const sources = names.map((name) => this.#find(name));
    const biases = biasNames?.map((name) => this.#find(name));
    const alike = sources.every((source) => source.type === sources[0]?.type);
    if (alike) {
      return { fused: true, weight: this.#matrix(sources), bias: biases && this.#place(this.#device.bufferType, biases) };
    }
    return {
      fused: false,
      weights: sources.map((source) => this.#matrix([source])),
      biases: sources.map((_, index) => biases?.[index] && this.#place(this.#device.bufferType, [biases[index]])),
    };
  }

  #matrix(parts: readonly GgufTensor[]): Pointer {
    const [first] = parts as [GgufTensor];
    const rows = parts.reduce((sum, part) => sum + part.shape[1], 0);
    const bufferType = this.#device.bufferTypeFor(first.type, first.shape[0], rows);
    this.bytesReadPerStep += parts.reduce((sum, part) => sum + part.size, 0);
    if (bufferType === this.#device.bufferType && parts.length === 1) return this.table(first.name);
    return this.#place(bufferType, parts);
  }

  #place(bufferType: Pointer, parts: readonly GgufTensor[]): Pointer {
    const [first] = parts as [GgufTensor];
    const context = this.#contextFor(bufferType);
    const isMatrix = first.shape[1] > 1;
    const axis = isMatrix ? 1 : 0;
    const length = parts.reduce((sum, part) => sum + part.shape[axis], 0);
    const tensor = isMatrix
      ? this.#ggml.newTensor2d(context, first.type, first.shape[0], length)
      : this.#ggml.newTensor1d(context, first.type, length);
    this.#placements.push({ tensor, parts, size: parts.reduce((sum, part) => sum + part.size, 0) });
    return tensor;
  }

  #contextFor(bufferType: Pointer): Pointer {
    let context = this.#contexts.get(bufferType);
    if (!context) {
      const size = this.#ggml.tensorOverhead() * (this.#gguf.tensors.size + 8);
      context = this.#ggml.init({ mem_size: size, mem_buffer: null, no_alloc: true });
      this.#contexts.set(bufferType, context);
    }
    return context;
  }

  /** Allocates the buffers and reads the file. Returns what releases them. */
  load(): () => void {
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
      for (let read = 0; read < part.size; ) {
        const count = readSync(file, scratch, filled, part.size - read, part.offset + read);
        if (count === 0) throw this.#unusable(`it ends inside the tensor ${part.name}`);
        read += count;
        filled += count;
      }
    }
    // Whole tensors only: buffer types that rearrange weights take nothing less.
    this.#ggml.tensorSet(placement.tensor, scratch, 0, placement.size);
  }

  #find(name: string): GgufTensor {
    const tensor = this.#gguf.tensors.get(name);
    if (!tensor) throw this.#unusable(`the tensor ${name} is missing`);
    return tensor;
  }

  #unusable(reason: string): AutoglmError {
    return new AutoglmError('engine_failed', `${this.#gguf.path} cannot be used: ${reason}. Download it again, or give another with --model FILE.gguf.`);
  }
}

/** `GGML_BACKEND_BUFFER_USAGE_WEIGHTS`. */
const bufferUsageWeights = 1;
