import koffi, { type LibraryHandle, type TypeObject } from 'koffi';

/** An address in this process. Zero and `null` are NULL. */
export type Pointer = bigint;
export type OptionalPointer = Pointer | null;

export interface GgmlLibraries {
  readonly base: LibraryHandle;
  readonly registry: LibraryHandle;
  readonly llama: LibraryHandle;
}

/** Every C function that the engine calls. */
export type Ggml = ReturnType<typeof bindGgml>;

/** A C function as TypeScript calls it; a call costs about 150 ns. */
function bind<F extends (...args: never[]) => unknown>(library: LibraryHandle, signature: string): F;
function bind<F extends (...args: never[]) => unknown>(library: LibraryHandle, name: string, result: string, parameters: TypeSpec[]): F;
function bind<F extends (...args: never[]) => unknown>(
  library: LibraryHandle,
  signature: string,
  result?: string,
  parameters?: TypeSpec[],
): F {
  const bound = result && parameters ? library.func(signature, result, parameters) : library.func(signature);
  return bound as unknown as F;
}

type TypeSpec = string | TypeObject;

type Unary = (context: Pointer, a: Pointer) => Pointer;
type RopeExt = (
  context: Pointer,
  a: Pointer,
  positions: Pointer,
  factors: OptionalPointer,
  dims: number,
  mode: number,
  originalContext: number,
  base: number,
  scale: number,
  extFactor: number,
  attnFactor: number,
  betaFast: number,
  betaSlow: number,
) => Pointer;
const ropeParameters =
  'void *ctx, void *a, void *b, void *c, int n_dims, int mode, int n_ctx_orig, float freq_base, float freq_scale, float ext_factor, float attn_factor, float beta_fast, float beta_slow';
type Binary = (context: Pointer, a: Pointer, b: Pointer) => Pointer;

/**
 * ggml's C functions under their own names, without the `ggml_` prefix and in camel case.
 * `ggml.h`, `ggml-backend.h`, `ggml-alloc.h`, `gguf.h` of ggml document them.
 */
export function bindGgml({ base, registry, llama }: GgmlLibraries) {
  // Unnamed, because koffi's type names are global to the process and a module may be loaded twice there.
  const initParams = koffi.struct({ mem_size: 'size_t', mem_buffer: 'void *', no_alloc: 'bool' });
  const ggufInitParams = koffi.struct({ no_alloc: 'bool', ctx: 'void *' });
  return {
    libraries: { base, registry, llama },
    version: bind<() => string>(base, 'const char *ggml_version()'),
    logSet: bind<(callback: OptionalPointer, userData: OptionalPointer) => void>(
      llama,
      'void llama_log_set(void *callback, void *user_data)',
    ),

    // Contexts, tensors
    init: bind<(params: { mem_size: number; mem_buffer: OptionalPointer; no_alloc: boolean }) => Pointer>(base, 'ggml_init', 'void *', [
      initParams,
    ]),
    free: bind<(context: Pointer) => void>(base, 'void ggml_free(void *ctx)'),
    tensorOverhead: bind<() => number>(base, 'size_t ggml_tensor_overhead()'),
    newTensor1d: bind<(context: Pointer, type: number, ne0: number) => Pointer>(
      base,
      'void *ggml_new_tensor_1d(void *ctx, int type, int64_t ne0)',
    ),
    newTensor2d: bind<(context: Pointer, type: number, ne0: number, ne1: number) => Pointer>(
      base,
      'void *ggml_new_tensor_2d(void *ctx, int type, int64_t ne0, int64_t ne1)',
    ),
    newTensor4d: bind<(context: Pointer, type: number, ne0: number, ne1: number, ne2: number, ne3: number) => Pointer>(
      base,
      'void *ggml_new_tensor_4d(void *ctx, int type, int64_t ne0, int64_t ne1, int64_t ne2, int64_t ne3)',
    ),
    view2d: bind<(context: Pointer, a: Pointer, ne0: number, ne1: number, nb1: number, offset: number) => Pointer>(
      base,
      'void *ggml_view_2d(void *ctx, void *a, int64_t ne0, int64_t ne1, size_t nb1, size_t offset)',
    ),
    view3d: bind<
      (context: Pointer, a: Pointer, ne0: number, ne1: number, ne2: number, nb1: number, nb2: number, offset: number) => Pointer
    >(base, 'void *ggml_view_3d(void *ctx, void *a, int64_t ne0, int64_t ne1, int64_t ne2, size_t nb1, size_t nb2, size_t offset)'),
    view4d: bind<
      (
        context: Pointer,
        a: Pointer,
        ne0: number,
        ne1: number,
        ne2: number,
        ne3: number,
        nb1: number,
        nb2: number,
        nb3: number,
        offset: number,
      ) => Pointer
    >(
      base,
      'void *ggml_view_4d(void *ctx, void *a, int64_t ne0, int64_t ne1, int64_t ne2, int64_t ne3, size_t nb1, size_t nb2, size_t nb3, size_t offset)',
    ),
    getName: bind<(tensor: Pointer) => Pointer>(base, 'void *ggml_get_name(void *tensor)'),
    getData: bind<(tensor: Pointer) => Pointer>(base, 'void *ggml_get_data(void *tensor)'),
    nbytes: bind<(tensor: Pointer) => number>(base, 'size_t ggml_nbytes(void *tensor)'),
    setInput: bind<(tensor: Pointer) => void>(base, 'void ggml_set_input(void *tensor)'),
    setOutput: bind<(tensor: Pointer) => void>(base, 'void ggml_set_output(void *tensor)'),

    // Types
    typeName: bind<(type: number) => string>(base, 'const char *ggml_type_name(int type)'),
    rowSize: bind<(type: number, ne: number) => number>(base, 'size_t ggml_row_size(int type, int64_t ne)'),
    quantizeChunk: bind<
      (type: number, source: Float32Array, destination: Uint8Array, start: number, rows: number, perRow: number, importance: null) => number
    >(
      base,
      'size_t ggml_quantize_chunk(int type, const float *src, _Out_ void *dst, int64_t start, int64_t nrows, int64_t n_per_row, const float *imatrix)',
    ),
    halfToFloat: bind<(source: Uint8Array, destination: Float32Array, count: number) => void>(
      base,
      'void ggml_fp16_to_fp32_row(const void *x, _Out_ void *y, int64_t n)',
    ),
    brainToFloat: bind<(source: Uint8Array, destination: Float32Array, count: number) => void>(
      base,
      'void ggml_bf16_to_fp32_row(const void *x, _Out_ void *y, int64_t n)',
    ),

    // Operations
    dup: bind<Unary>(base, 'void *ggml_dup(void *ctx, void *a)'),
    add: bind<Binary>(base, 'void *ggml_add(void *ctx, void *a, void *b)'),
    mul: bind<Binary>(base, 'void *ggml_mul(void *ctx, void *a, void *b)'),
    mulInplace: bind<Binary>(base, 'void *ggml_mul_inplace(void *ctx, void *a, void *b)'),
    mulMat: bind<Binary>(base, 'void *ggml_mul_mat(void *ctx, void *a, void *b)'),
    rmsNorm: bind<(context: Pointer, a: Pointer, epsilon: number) => Pointer>(base, 'void *ggml_rms_norm(void *ctx, void *a, float eps)'),
    rmsNormInplace: bind<(context: Pointer, a: Pointer, epsilon: number) => Pointer>(
      base,
      'void *ggml_rms_norm_inplace(void *ctx, void *a, float eps)',
    ),
    norm: bind<(context: Pointer, a: Pointer, epsilon: number) => Pointer>(base, 'void *ggml_norm(void *ctx, void *a, float eps)'),
    gelu: bind<Unary>(base, 'void *ggml_gelu(void *ctx, void *a)'),
    swiglu: bind<Unary>(base, 'void *ggml_swiglu(void *ctx, void *a)'),
    swigluSplit: bind<Binary>(base, 'void *ggml_swiglu_split(void *ctx, void *a, void *b)'),
    reshape2d: bind<(context: Pointer, a: Pointer, ne0: number, ne1: number) => Pointer>(
      base,
      'void *ggml_reshape_2d(void *ctx, void *a, int64_t ne0, int64_t ne1)',
    ),
    reshape3d: bind<(context: Pointer, a: Pointer, ne0: number, ne1: number, ne2: number) => Pointer>(
      base,
      'void *ggml_reshape_3d(void *ctx, void *a, int64_t ne0, int64_t ne1, int64_t ne2)',
    ),
    cpy: bind<Binary>(base, 'void *ggml_cpy(void *ctx, void *a, void *b)'),
    getRows: bind<Binary>(base, 'void *ggml_get_rows(void *ctx, void *a, void *b)'),
    setRows: bind<(context: Pointer, destination: Pointer, rows: Pointer, indices: Pointer) => Pointer>(
      base,
      'void *ggml_set_rows(void *ctx, void *a, void *b, void *c)',
    ),
    ropeExt: bind<RopeExt>(base, `void *ggml_rope_ext(${ropeParameters})`),
    ropeExtInplace: bind<RopeExt>(base, `void *ggml_rope_ext_inplace(${ropeParameters})`),
    softMaxExt: bind<(context: Pointer, a: Pointer, mask: OptionalPointer, scale: number, maxBias: number) => Pointer>(
      base,
      'void *ggml_soft_max_ext(void *ctx, void *a, void *mask, float scale, float max_bias)',
    ),
    flashAttnExt: bind<
      (
        context: Pointer,
        q: Pointer,
        k: Pointer,
        v: Pointer,
        mask: OptionalPointer,
        scale: number,
        maxBias: number,
        softcap: number,
      ) => Pointer
    >(
      base,
      'void *ggml_flash_attn_ext(void *ctx, void *q, void *k, void *v, void *mask, float scale, float max_bias, float logit_softcap)',
    ),

    // Graphs
    newGraph: bind<(context: Pointer, size: number, grads: boolean) => Pointer>(
      base,
      'void *ggml_new_graph_custom(void *ctx, size_t size, bool grads)',
    ),
    graphOverhead: bind<(size: number, grads: boolean) => number>(base, 'size_t ggml_graph_overhead_custom(size_t size, bool grads)'),
    buildForwardExpand: bind<(graph: Pointer, tensor: Pointer) => void>(base, 'void ggml_build_forward_expand(void *cgraph, void *tensor)'),

    // Devices, buffers
    backendLoadAllFromPath: bind<(folder: string) => void>(registry, 'void ggml_backend_load_all_from_path(const char *dir_path)'),
    backendDevCount: bind<() => number>(registry, 'size_t ggml_backend_dev_count()'),
    backendDevGet: bind<(index: number) => Pointer>(registry, 'void *ggml_backend_dev_get(size_t index)'),
    devDescription: bind<(device: Pointer) => string>(base, 'const char *ggml_backend_dev_description(void *device)'),
    devInit: bind<(device: Pointer, params: null) => OptionalPointer>(
      base,
      'void *ggml_backend_dev_init(void *device, const char *params)',
    ),
    devBufferType: bind<(device: Pointer) => Pointer>(base, 'void *ggml_backend_dev_buffer_type(void *device)'),
    devSupportsOp: bind<(device: Pointer, op: Pointer) => boolean>(base, 'bool ggml_backend_dev_supports_op(void *device, void *op)'),
    devRegistry: bind<(device: Pointer) => Pointer>(base, 'void *ggml_backend_dev_backend_reg(void *device)'),
    procAddress: bind<(registry: Pointer, name: string) => OptionalPointer>(
      base,
      'void *ggml_backend_reg_get_proc_address(void *reg, const char *name)',
    ),
    bufferTypeName: bind<(type: Pointer) => string>(base, 'const char *ggml_backend_buft_name(void *buft)'),
    bufferTypeAlloc: bind<(type: Pointer, size: number) => OptionalPointer>(
      base,
      'void *ggml_backend_buft_alloc_buffer(void *buft, size_t size)',
    ),
    allocTensors: bind<(context: Pointer, type: Pointer) => OptionalPointer>(
      base,
      'void *ggml_backend_alloc_ctx_tensors_from_buft(void *ctx, void *buft)',
    ),
    cpuBufferFromPointer: bind<(address: Pointer, size: number) => Pointer>(
      base,
      'void *ggml_backend_cpu_buffer_from_ptr(void *ptr, size_t size)',
    ),
    tensorAlloc: bind<(buffer: Pointer, tensor: Pointer, address: Pointer) => number>(
      base,
      'int ggml_backend_tensor_alloc(void *buffer, void *tensor, void *addr)',
    ),
    bufferBase: bind<(buffer: Pointer) => Pointer>(base, 'void *ggml_backend_buffer_get_base(void *buffer)'),
    bufferSize: bind<(buffer: Pointer) => number>(base, 'size_t ggml_backend_buffer_get_size(void *buffer)'),
    bufferFree: bind<(buffer: Pointer) => void>(base, 'void ggml_backend_buffer_free(void *buffer)'),
    bufferSetUsage: bind<(buffer: Pointer, usage: number) => void>(base, 'void ggml_backend_buffer_set_usage(void *buffer, int usage)'),
    tensorSet: bind<(tensor: Pointer, data: ArrayBufferView, offset: number, size: number) => void>(
      base,
      'void ggml_backend_tensor_set(void *tensor, const void *data, size_t offset, size_t size)',
    ),
    backendFree: bind<(backend: Pointer) => void>(base, 'void ggml_backend_free(void *backend)'),
    graphCompute: bind<(backend: Pointer, graph: Pointer) => number>(base, 'int ggml_backend_graph_compute(void *backend, void *cgraph)'),
    gallocrNew: bind<(type: Pointer) => Pointer>(base, 'void *ggml_gallocr_new(void *buft)'),
    gallocrFree: bind<(allocator: Pointer) => void>(base, 'void ggml_gallocr_free(void *galloc)'),
    gallocrAlloc: bind<(allocator: Pointer, graph: Pointer) => boolean>(base, 'bool ggml_gallocr_alloc_graph(void *galloc, void *graph)'),
    gallocrSize: bind<(allocator: Pointer, buffer: number) => number>(
      base,
      'size_t ggml_gallocr_get_buffer_size(void *galloc, int buffer_id)',
    ),

    // GGUF, reading
    ggufInitFromFile: bind<(path: string, params: { no_alloc: boolean; ctx: Pointer | null }) => OptionalPointer>(
      base,
      'gguf_init_from_file',
      'void *',
      ['const char *', ggufInitParams],
    ),
    ggufFree: bind<(gguf: Pointer) => void>(base, 'void gguf_free(void *ctx)'),
    ggufDataOffset: bind<(gguf: Pointer) => number>(base, 'size_t gguf_get_data_offset(void *ctx)'),
    ggufFindKey: bind<(gguf: Pointer, key: string) => number>(base, 'int64_t gguf_find_key(void *ctx, const char *key)'),
    ggufKeyType: bind<(gguf: Pointer, key: number) => number>(base, 'int gguf_get_kv_type(void *ctx, int64_t key_id)'),
    ggufValueData: bind<(gguf: Pointer, key: number) => Pointer>(base, 'void *gguf_get_val_data(void *ctx, int64_t key_id)'),
    ggufValueString: bind<(gguf: Pointer, key: number) => string>(base, 'const char *gguf_get_val_str(void *ctx, int64_t key_id)'),
    ggufValueBool: bind<(gguf: Pointer, key: number) => boolean>(base, 'bool gguf_get_val_bool(void *ctx, int64_t key_id)'),
    ggufArrayCount: bind<(gguf: Pointer, key: number) => number>(base, 'size_t gguf_get_arr_n(void *ctx, int64_t key_id)'),
    ggufArrayString: bind<(gguf: Pointer, key: number, index: number) => string>(
      base,
      'const char *gguf_get_arr_str(void *ctx, int64_t key_id, size_t i)',
    ),
    ggufTensorCount: bind<(gguf: Pointer) => number>(base, 'int64_t gguf_get_n_tensors(void *ctx)'),
    ggufTensorName: bind<(gguf: Pointer, index: number) => string>(base, 'const char *gguf_get_tensor_name(void *ctx, int64_t tensor_id)'),
    ggufTensorType: bind<(gguf: Pointer, index: number) => number>(base, 'int gguf_get_tensor_type(void *ctx, int64_t tensor_id)'),
    ggufTensorShape: bind<(gguf: Pointer, index: number) => Pointer>(base, 'void *gguf_get_tensor_ne(void *ctx, int64_t tensor_id)'),
    ggufTensorOffset: bind<(gguf: Pointer, index: number) => number>(base, 'size_t gguf_get_tensor_offset(void *ctx, int64_t tensor_id)'),
    ggufTensorSize: bind<(gguf: Pointer, index: number) => number>(base, 'size_t gguf_get_tensor_size(void *ctx, int64_t tensor_id)'),
  };
}
