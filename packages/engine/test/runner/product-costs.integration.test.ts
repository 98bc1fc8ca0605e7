import koffi from 'koffi';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Pointer } from '../../src/ggml/bindings.ts';
import { openDevice, type Device } from '../../src/ggml/device.ts';
import { loadGgml } from '../../src/ggml/library.ts';
import { columnBytes } from '../../src/ggml/tensor-layout.ts';
import { GgmlType } from '../../src/ggml/types.ts';
import type { ProductWay } from '../../src/runner/batch-plan.ts';
import { completeUnlike, measureProductCosts, multiply } from '../../src/runner/product-costs.ts';
import type { WeightMatrix } from '../../src/runner/weights.ts';
import { createRandom } from '../../src/sampler/random.ts';

const columns = 96;
const rows = 128;
const ggml = loadGgml();
let device: Device;
const cleanups: (() => void)[] = [];

beforeAll(() => {
  device = openDevice(ggml, { threads: 1, poll: 0 });
});
afterAll(() => {
  for (const cleanup of cleanups) cleanup();
  device.close();
});

function newContext(): Pointer {
  const context = ggml.init({ mem_size: ggml.tensorOverhead() * 32 + ggml.graphOverhead(32, false), mem_buffer: null, no_alloc: true });
  cleanups.push(() => ggml.free(context));
  return context;
}

function createMatrix(type: number, spareRows = 0): WeightMatrix {
  const random = createRandom(5);
  const values = Float32Array.from({ length: columns * rows }, () => random() - 0.5);
  const bytes = new Uint8Array(ggml.rowSize(type, columns) * (rows + spareRows));
  ggml.quantizeChunk(type, values, bytes, 0, rows, columns, null);
  const bufferType = device.bufferTypeFor(type, columns, rows);
  const context = newContext();
  const placed = ggml.newTensor2d(context, type, columns, rows + spareRows);
  const tensor = ggml.view2d(context, placed, columns, rows, ggml.rowSize(type, columns), 0);
  const buffer = ggml.allocTensors(context, bufferType) as Pointer;
  cleanups.unshift(() => ggml.bufferFree(buffer));
  ggml.tensorSet(placed, bytes, 0, bytes.length);
  return { tensor, columns, rows, type, isPlain: bufferType === device.bufferType, widened: spareRows > 0 ? placed : undefined };
}

function product(matrix: WeightMatrix, way: ProductWay, count: number): Float32Array {
  const context = newContext();
  const graph = ggml.newGraph(context, 32, false);
  const x = ggml.newTensor2d(context, GgmlType.F32, columns, count);
  ggml.setInput(x);
  const result = multiply(ggml, context, matrix, x, { way, columns: count });
  ggml.setOutput(result);
  ggml.buildForwardExpand(graph, result);
  const allocator = ggml.gallocrNew(device.bufferType);
  cleanups.unshift(() => ggml.gallocrFree(allocator));
  ggml.gallocrAlloc(allocator, graph);
  const random = createRandom(6);
  const input = new Float32Array(koffi.view(ggml.getData(x), columns * count * 4));
  for (let index = 0; index < input.length; index += 1) input[index] = random() - 0.5;
  device.compute(graph);
  const sums = new Float32Array(rows * count);
  for (let column = 0; column < count; column += 1)
    sums.set(new Float32Array(koffi.view(ggml.getData(result) + BigInt(column * columnBytes(result)), rows * 4)), column * rows);
  return sums;
}

describe('multiply', () => {
  it.each([1, 2, 3, 5, 8, 15, 16, 33])('gives the same sums in every way, %i columns', (count) => {
    const matrix = createMatrix(GgmlType.Q8_0);
    const expected = product(matrix, 'together', count);
    for (const way of ['staged', 'apart'] as const) expect(product(matrix, way, count)).toEqual(expected);
  });

  it.each([1, 16, 17, 64, 100])('gives the same sums with rows of zeros after the matrix, %i columns', (count) => {
    for (const type of [GgmlType.Q8_0, GgmlType.Q4_0])
      expect(product(createMatrix(type, 32), 'together', count)).toEqual(product(createMatrix(type), 'together', count));
  });
});

describe('measureProductCosts', () => {
  it('tells of numbers of columns that it does not measure whether their sums are unlike', () => {
    const alike = new Map([
      [4, 5],
      [8, 9],
      [12, 11],
      [16, 12],
      [64, 40],
    ]);
    const tiles = completeUnlike(
      { together: alike, unlike: new Map([1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15].map((columns) => [columns, columns])) },
      false,
    );
    expect([16, 17, 19, 20, 24, 33, 47, 63].filter((columns) => tiles.has(columns))).toEqual([17, 19, 33, 47, 63]);
    expect(tiles.get(33)).toBe(25);
    const plain = completeUnlike(
      {
        together: alike,
        unlike: new Map([
          [1, 1],
          [2, 2],
        ]),
      },
      true,
    );
    expect([...plain]).toEqual([
      [1, 1],
      [2, 2],
      [3, 2],
    ]);
  });

  it('measures every way of plain matrices, and of rearranged ones only what can be done with them', () => {
    for (const matrix of [createMatrix(GgmlType.Q8_0), createMatrix(GgmlType.Q4_0)]) {
      const { together, staged, apart } = measureProductCosts({ ggml, device, matrices: [matrix] });
      expect(together.get(1)).toBeGreaterThan(0);
      expect([...together.keys()]).toEqual(expect.arrayContaining([4, 16, 64]));
      expect([staged.size > 0, apart.size > 0]).toEqual([matrix.isPlain, matrix.isPlain]);
    }
  });
});
