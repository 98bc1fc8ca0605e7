import koffi from 'koffi';
import { AutoglmError } from '@open-autoglm/protocol';
import type { Ggml, Pointer } from './bindings.ts';
import { createIdleCores } from './idle-cores.ts';
import { tensorLayout } from './tensor-layout.ts';
import { ThreadGovernor } from './thread-governor.ts';
import { GgmlType } from './types.ts';

/** The CPU as ggml's backend: its threads, and the buffer types that its matrix kernels want weights in. */
export interface Device {
  readonly backend: Pointer;
  readonly description: string;
  readonly bufferType: Pointer;
  /** The fastest buffer type whose kernels take a weight matrix of this shape; the plain one when none does. */
  bufferTypeFor(type: number, columns: number, rows: number): Pointer;
  /** With so many rows of zeros after its own, a matrix of this type in this buffer type multiplies many columns faster; 0 for none. */
  spareRowsFor(bufferType: Pointer, type: number, rows: number): number;
  /** Computes a graph, with fewer threads while other programs want the cores. Returns ggml's status: 0 is success. */
  compute(graph: Pointer): number;
  /** Milliseconds, since the start, by which graphs took longer because other programs had the cores. */
  readonly missingCoresMs: number;
  close(): void;
}

export interface DeviceOptions {
  /** ggml threads at most. They spin between operations: while cores are missing, fewer compute. */
  readonly threads: number;
  /** 0 sleeps at once between operations, 100 spins; ggml's default is 50. */
  readonly poll: number;
}

/**
 * AMX's kernels for quantized weights add up in the memory of the result, 32 columns of 32 rows at a time. Where its columns are a
 * multiple of 2 KB apart, these fall into so few sets of the first-level cache that they drive each other out: products of 64 and of
 * 512 columns took 1.6 times as long.
 */
const amxRows = { conflicting: 512, spare: 32 } as const;

export function openDevice(ggml: Ggml, options: DeviceOptions): Device {
  const device = ggml.backendDevGet(0);
  const backend = ggml.devInit(device, null);
  if (!backend) throw new AutoglmError('engine_failed', 'ggml could not start its CPU backend.');
  const registry = ggml.devRegistry(device);
  const procedures = bindProcedures(ggml, registry);
  const pools = new Threadpools(ggml, procedures, backend, options);
  const governor = new ThreadGovernor({ threadsMax: options.threads, idleCores: createIdleCores(), now: () => performance.now() });

  const plain = ggml.devBufferType(device);
  const special = listPointers(procedures.extraBufferTypes(device));
  return {
    backend,
    description: ggml.devDescription(device),
    bufferType: plain,
    bufferTypeFor: (type, columns, rows) => special.find((candidate) => takesWeight(ggml, device, candidate, type, columns, rows)) ?? plain,
    spareRowsFor: (bufferType, type, rows) =>
      ggml.bufferTypeName(bufferType) === 'AMX' && type !== GgmlType.F16 && rows % amxRows.conflicting === 0 ? amxRows.spare : 0,
    compute(graph) {
      pools.use(governor.threads);
      const startedAt = performance.now();
      const before = process.cpuUsage();
      const status = ggml.graphCompute(backend, graph);
      const { user, system } = process.cpuUsage(before);
      governor.onComputed(performance.now() - startedAt, (user + system) / 1000);
      return status;
    },
    get missingCoresMs() {
      return governor.missingCoresMs;
    },
    close() {
      ggml.backendFree(backend);
      pools.close();
    },
  };
}

/** A pool for all threads, and one for fewer while fewer are used: a thread of a larger pool would spin beside those that compute. */
class Threadpools {
  readonly #ggml: Ggml;
  readonly #procedures: Procedures;
  readonly #backend: Pointer;
  readonly #options: DeviceOptions;
  readonly #full: Pointer;
  #smaller: Pointer | undefined;
  #threads: number;

  constructor(ggml: Ggml, procedures: Procedures, backend: Pointer, options: DeviceOptions) {
    this.#ggml = ggml;
    this.#procedures = procedures;
    this.#backend = backend;
    this.#options = options;
    this.#full = newThreadpool(ggml, procedures, options);
    this.#threads = options.threads;
    this.#attach(this.#full);
  }

  use(threads: number): void {
    if (threads === this.#threads) return;
    this.#threads = threads;
    const before = this.#smaller;
    this.#smaller =
      threads === this.#options.threads ? undefined : newThreadpool(this.#ggml, this.#procedures, { ...this.#options, threads });
    this.#attach(this.#smaller ?? this.#full);
    if (before) this.#procedures.freeThreadpool(before);
  }

  close(): void {
    for (const pool of [this.#smaller, this.#full]) if (pool) this.#procedures.freeThreadpool(pool);
  }

  /** ggml pauses the pool that was attached before. */
  #attach(pool: Pointer): void {
    this.#procedures.setThreadCount(this.#backend, this.#threads);
    this.#procedures.setThreadpool(this.#backend, pool);
  }
}

export interface Procedures {
  setThreadCount(backend: Pointer, threads: number): void;
  setThreadpool(backend: Pointer, threadpool: Pointer): void;
  newThreadpool(params: Pointer): Pointer;
  freeThreadpool(threadpool: Pointer): void;
  extraBufferTypes(device: Pointer): Pointer | null;
}

/** Functions of the CPU variant, which only its registry knows. */
export function bindProcedures(ggml: Ggml, registry: Pointer): Procedures {
  const bind = <F>(name: string, result: string, parameters: string[]): F => {
    const address = ggml.procAddress(registry, name);
    if (!address) throw new AutoglmError('engine_failed', `This build of ggml lacks ${name}.`);
    return koffi.decode(address, koffi.proto(result, parameters)) as F;
  };
  return {
    setThreadCount: bind('ggml_backend_set_n_threads', 'void', ['void *', 'int']),
    setThreadpool: bind('ggml_backend_cpu_set_threadpool', 'void', ['void *', 'void *']),
    newThreadpool: bind('ggml_threadpool_new', 'void *', ['void *']),
    freeThreadpool: bind('ggml_threadpool_free', 'void', ['void *']),
    extraBufferTypes: bind('ggml_backend_dev_get_extra_bufts', 'void *', ['void *']),
  };
}

/** `struct ggml_threadpool_params`: bool cpumask[512], then int n_threads, int prio, uint32 poll, two bools. */
const threadpoolParams = { size: 528, poll: 520 } as const;

export function newThreadpool(ggml: Ggml, procedures: Procedures, options: DeviceOptions): Pointer {
  const params = koffi.alloc('uint8', threadpoolParams.size) as unknown as Pointer;
  const initialise = ggml.libraries.base.func('void ggml_threadpool_params_init(void *params, int threads)');
  initialise(params, options.threads);
  koffi.encode(params, threadpoolParams.poll, 'uint32', options.poll);
  const threadpool = procedures.newThreadpool(params);
  koffi.free(params);
  return threadpool;
}

function listPointers(array: Pointer | null): Pointer[] {
  const pointers: Pointer[] = [];
  if (!array) return pointers;
  for (let index = 0; ; index += 1) {
    const pointer = koffi.decode(array, index * 8, 'void *') as Pointer | null;
    if (!pointer) return pointers;
    pointers.push(pointer);
  }
}

/**
 * Asks the backend whether the buffer type's kernels can multiply such a weight, as libllama does: by a product whose
 * weight pretends to lie in an (empty) buffer of that type. The shape matters: AMX's kernels take a multiple of 32
 * rows and give silently wrong products for others.
 */
function takesWeight(ggml: Ggml, device: Pointer, bufferType: Pointer, type: number, columns: number, rows: number): boolean {
  if (rows % 32 !== 0) return false;
  const context = ggml.init({ mem_size: ggml.tensorOverhead() * 4, mem_buffer: null, no_alloc: true });
  const weight = ggml.newTensor2d(context, type, columns, rows);
  const product = ggml.mulMat(context, weight, ggml.newTensor2d(context, GgmlType.F32, columns, 512));
  const buffer = ggml.bufferTypeAlloc(bufferType, 0);
  koffi.encode(weight, tensorLayout.buffer, 'void *', buffer);
  const supported = ggml.devSupportsOp(device, product);
  if (buffer) ggml.bufferFree(buffer);
  ggml.free(context);
  return supported;
}
