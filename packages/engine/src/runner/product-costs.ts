import koffi from 'koffi';
import type { Ggml, Pointer } from '../ggml/bindings.ts';
import type { Device } from '../ggml/device.ts';
import { columnBytes } from '../ggml/tensor-layout.ts';
import { GgmlType } from '../ggml/types.ts';
import { createRandom } from '../sampler/random.ts';
import type { ProductCosts, ProductWay } from './batch-plan.ts';
import type { WeightMatrix } from './weights.ts';

/** Numbers of columns that are measured: of rearranged matrices every small one, since their tiles make steps. */
const rearrangedAt = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 64];
const plainAt = [1, 2, 4, 8, 12, 16, 64];
/** The sums that count are those of a full batch: a kernel for fewer columns may add in another order. */
const expectedAt = 16;
const stagedAt = [2, 4, 8, 16, 64];
const apartAt = [2, 4, 8];
/** Weights beyond any last-level cache's share; of larger models the rest is alike. */
const bytesMax = 64 * 2 ** 20;
/**
 * Of a full batch with all of these, in milliseconds. Types that take longer compute more than they read: less of them tells the same, and
 * a model that a user waits for is loaded sooner.
 */
const fullBatchMsMax = 40;
/** The fastest of some counts, since other programs may want the cores. When time is up, one has to do. */
const repeats = 3;
const budgetMs = 250;

interface ProbeParts {
  readonly ggml: Ggml;
  readonly device: Device;
  readonly matrices: readonly WeightMatrix[];
}

/** The products of matrices with so many columns, all of them the same. */
interface Products {
  readonly compute: () => void;
  /** Whether every column of the first matrix's product is this. */
  readonly repeats: (column: Float32Array) => boolean;
  readonly firstColumn: () => Float32Array;
  readonly free: () => void;
}

/** Measures products with a model's own weights, as a step reads them. Takes some 0.2 s with a small model. */
export function measureProductCosts({ ggml, device, matrices }: ProbeParts): ProductCosts {
  const sample = typical(ggml, matrices);
  const allocator = ggml.gallocrNew(device.bufferType);
  const { sums: expected, milliseconds } = fullBatch(
    buildProducts(ggml, device, sample, { way: 'together', columns: expectedAt }, allocator),
  );
  const probed = sample.slice(0, Math.ceil(sample.length * Math.min(1, fullBatchMsMax / milliseconds)));
  const startedAt = performance.now();
  const measure = (way: ProductWay, columns: number): { readonly cost: number; readonly isAlike: boolean } => {
    const products = buildProducts(ggml, device, probed, { way, columns }, allocator);
    let cost = Infinity;
    for (let run = 0; run < repeats && (run === 0 || performance.now() - startedAt < budgetMs); run += 1) {
      const since = performance.now();
      products.compute();
      cost = Math.min(cost, performance.now() - since);
    }
    const isAlike = products.repeats(expected);
    products.free();
    return { cost, isAlike };
  };
  const unlike = new Map<number, number>();
  const measureAll = (way: ProductWay, at: readonly number[]) => {
    const costs = new Map<number, number>();
    for (const columns of at) {
      const { cost, isAlike } = measure(way, columns);
      if (isAlike) costs.set(columns, cost);
      else if (way === 'together') unlike.set(columns, cost);
    }
    return costs;
  };
  const isPlain = probed.every((matrix) => matrix.isPlain);
  try {
    const together = measureAll('together', isPlain ? plainAt : rearrangedAt);
    return {
      together,
      staged: isPlain ? measureAll('staged', stagedAt) : new Map(),
      apart: isPlain ? measureAll('apart', apartAt) : new Map(),
      unlike: completeUnlike({ together, unlike }, isPlain),
    };
  } finally {
    ggml.gallocrFree(allocator);
  }
}

/** With the numbers of columns that were not measured. */
export function completeUnlike({ together, unlike }: Pick<ProductCosts, 'together' | 'unlike'>, isPlain: boolean): Map<number, number> {
  const complete = new Map(unlike);
  const at = isPlain ? plainAt : rearrangedAt;
  for (let columns = 1; columns < (at.at(-1) as number); columns += 1) {
    if (at.includes(columns)) continue;
    const cost = isPlain ? unlikeBetween(unlike, columns) : unlikeBeyond(unlike, columns, together.get(expectedAt) ?? 0);
    if (cost !== undefined) complete.set(columns, cost);
  }
  return complete;
}

/** Between two measured numbers of columns of plain matrices sums are taken for alike only where both are. */
function unlikeBetween(unlike: ReadonlyMap<number, number>, columns: number): number | undefined {
  const above = plainAt.find((one) => one > columns) as number;
  const below = plainAt.findLast((one) => one < columns) as number;
  return unlike.get(above) ?? unlike.get(below);
}

/**
 * Rearranged matrices are multiplied by tiles, and the columns beside these by another kernel: which are unlike repeats itself after a full
 * batch, of `fullCost`.
 */
function unlikeBeyond(unlike: ReadonlyMap<number, number>, columns: number, fullCost: number): number | undefined {
  const rest = ((columns - 1) % expectedAt) + 1;
  const cost = unlike.get(rest);
  return cost === undefined ? undefined : ((columns - rest) / expectedAt) * fullCost + cost;
}

/** The sums of the first matrix, and how long all took: the faster of some runs, since other programs may want the cores. */
function fullBatch(products: Products): { readonly sums: Float32Array; readonly milliseconds: number } {
  let milliseconds = Infinity;
  for (let run = 0; run < 2; run += 1) {
    const since = performance.now();
    products.compute();
    milliseconds = Math.min(milliseconds, performance.now() - since);
  }
  const sums = products.firstColumn();
  products.free();
  return { sums, milliseconds };
}

/** The matrices of the type and layout that have the most bytes together, as many as are worth the time. */
function typical(ggml: Ggml, matrices: readonly WeightMatrix[]): readonly WeightMatrix[] {
  const groups = Object.values(Object.groupBy(matrices, ({ type, isPlain }) => `${type} ${isPlain}`)) as WeightMatrix[][];
  const bytesOf = (group: readonly WeightMatrix[]) => group.reduce((sum, { tensor }) => sum + ggml.nbytes(tensor), 0);
  const largest = groups.reduce((a, b) => (bytesOf(b) > bytesOf(a) ? b : a));
  let bytes = 0;
  return largest.filter(({ tensor }) => {
    const isWanted = bytes < bytesMax;
    bytes += ggml.nbytes(tensor);
    return isWanted;
  });
}

function buildProducts(
  ggml: Ggml,
  device: Device,
  matrices: readonly WeightMatrix[],
  { way, columns }: { readonly way: ProductWay; readonly columns: number },
  allocator: Pointer,
): Products {
  const size = 5 * matrices.length + 8;
  const context = ggml.init({ mem_size: ggml.tensorOverhead() * size + ggml.graphOverhead(size, false), mem_buffer: null, no_alloc: true });
  const graph = ggml.newGraph(context, size, false);
  const inputs = new Map<number, Pointer>();
  const inputOf = (length: number) => {
    const input = inputs.get(length) ?? ggml.newTensor2d(context, GgmlType.F32, length, columns);
    ggml.setInput(input);
    // Else its memory would be used again by a later product, and a second run would multiply that.
    ggml.setOutput(input);
    inputs.set(length, input);
    return input;
  };
  const products = matrices.map((matrix) => multiply(ggml, context, matrix, inputOf(matrix.columns), { way, columns }));
  ggml.setOutput(products[0] as Pointer);
  for (const product of products) ggml.buildForwardExpand(graph, product);
  ggml.gallocrAlloc(allocator, graph);
  for (const [length, input] of inputs) fillInput(new Float32Array(koffi.view(ggml.getData(input), length * columns * 4)), length);
  const [product] = products as [Pointer];
  const { rows } = matrices[0] as WeightMatrix;
  const result = (column: number) => new Float32Array(koffi.view(ggml.getData(product) + BigInt(column * columnBytes(product)), rows * 4));
  return {
    compute: () => void device.compute(graph),
    repeats: (expected) =>
      Array.from({ length: columns }, (_, column) => result(column)).every((sums) => sums.every((value, row) => value === expected[row])),
    firstColumn: () => result(0).slice(),
    free: () => ggml.free(context),
  };
}

/** Fewer columns fit into the cache as they are. */
const widenedFrom = 17;

/** `x`: [matrix.columns, columns], contiguous. Returns [matrix.rows, columns], whose columns may lie apart. */
export function multiply(
  ggml: Ggml,
  context: Pointer,
  matrix: WeightMatrix,
  x: Pointer,
  { way, columns }: { readonly way: ProductWay; readonly columns: number },
): Pointer {
  if (matrix.widened && columns >= widenedFrom) {
    const product = ggml.mulMat(context, matrix.widened, x);
    return ggml.view2d(context, product, matrix.rows, columns, columnBytes(product), 0);
  }
  if (way === 'together' || !matrix.isPlain) return ggml.mulMat(context, matrix.tensor, x);
  if (way === 'staged') return ggml.mulMat(context, ggml.dup(context, matrix.tensor), x);
  const apart = ggml.mulMat(context, matrix.tensor, ggml.reshape3d(context, x, matrix.columns, 1, columns));
  return ggml.reshape2d(context, apart, matrix.rows, columns);
}

/** The same column again and again. */
function fillInput(values: Float32Array, length: number): void {
  const random = createRandom(1);
  for (let index = 0; index < values.length; index += 1)
    values[index] = index < length ? random() - 0.5 : (values[index - length] as number);
}
