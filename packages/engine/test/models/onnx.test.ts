import { PbfWriter } from 'pbf';
import { describe, expect, it } from 'vitest';
import { parseOnnx } from '../../src/models/onnx.ts';

const float = 1;
const uint8 = 2;
const int8 = 3;
const int64 = 7;
const float16 = 10;

interface TensorFields {
  readonly name: string;
  readonly dims: readonly number[];
  readonly type: number;
  readonly raw?: Uint8Array;
  readonly floats?: number[];
  readonly integers?: number[];
}

/** A `ModelProto` with fields that the reader must skip before and after those it reads. */
function modelOf(
  tensors: readonly TensorFields[],
  nodes: readonly { name: string; operator: string; inputs: string[] }[] = [],
): Uint8Array {
  const model = new PbfWriter();
  model.writeVarintField(1, 8);
  model.writeStringField(2, 'producer');
  model.writeMessage(
    7,
    (_, graph) => {
      for (const node of nodes) graph.writeMessage(1, writeNode, node);
      graph.writeStringField(2, 'graph');
      for (const tensor of tensors) graph.writeMessage(5, writeTensor, tensor);
    },
    null,
  );
  return model.finish();
}

function writeNode({ name, operator, inputs }: { name: string; operator: string; inputs: string[] }, writer: PbfWriter): void {
  for (const input of inputs) writer.writeStringField(1, input);
  writer.writeStringField(2, 'output');
  writer.writeStringField(3, name);
  writer.writeStringField(4, operator);
}

function writeTensor({ name, dims, type, raw, floats, integers }: TensorFields, writer: PbfWriter): void {
  for (const size of dims) writer.writeVarintField(1, size);
  writer.writeVarintField(2, type);
  if (floats) writer.writePackedFloat(4, floats);
  if (integers) writer.writePackedVarint(5, integers);
  writer.writeStringField(8, name);
  if (raw) writer.writeBytesField(9, raw);
}

describe('parseOnnx', () => {
  it('reads nodes with their inputs in order', () => {
    const nodes = [{ name: '/layer/q', operator: 'MatMulInteger', inputs: ['x', 'w', 'x_zero', 'w_zero'] }];
    expect(parseOnnx(modelOf([], nodes)).nodes).toEqual(nodes);
  });

  it('reads raw bytes, wherever they begin', () => {
    const values = Float32Array.of(1.5, -2, 1e-20);
    const { tensors } = parseOnnx(
      modelOf([
        { name: 'odd', dims: [3], type: float, raw: new Uint8Array(values.buffer) },
        { name: 'signed', dims: [2, 2], type: int8, raw: Uint8Array.of(0, 127, 128, 255) },
        { name: 'unsigned', dims: [4, 1], type: uint8, raw: Uint8Array.of(0, 127, 128, 255) },
      ]),
    );
    expect(tensors.get('odd')).toEqual({ shape: [3], values });
    expect(tensors.get('signed')).toEqual({ shape: [2, 2], values: Int8Array.of(0, 127, -128, -1) });
    expect(tensors.get('unsigned')).toEqual({ shape: [4, 1], values: Uint8Array.of(0, 127, 128, 255) });
  });

  it('reads scalars from lists of numbers', () => {
    const { tensors } = parseOnnx(
      modelOf([
        { name: 'scale', dims: [], type: float, floats: [0.25] },
        { name: 'zero', dims: [], type: int8, integers: [-7] },
        { name: 'point', dims: [], type: uint8, integers: [200] },
      ]),
    );
    expect(tensors.get('scale')?.values).toEqual(Float32Array.of(0.25));
    expect(tensors.get('zero')?.values).toEqual(Int8Array.of(-7));
    expect(tensors.get('point')?.values).toEqual(Uint8Array.of(200));
  });

  it('leaves out indices, which are no weights', () => {
    expect(parseOnnx(modelOf([{ name: 'ids', dims: [1], type: int64, raw: new Uint8Array(8) }])).tensors.size).toBe(0);
  });

  it('refuses what it cannot read rightly', () => {
    expect(() => parseOnnx(modelOf([{ name: 'half', dims: [4], type: float16, raw: new Uint8Array(8) }]))).toThrow('half has data type 10');
    expect(() => parseOnnx(modelOf([{ name: 'elsewhere', dims: [4], type: int8 }]))).toThrow('elsewhere has 0 values for 4 places');
  });
});
