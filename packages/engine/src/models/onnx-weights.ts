import type { OnnxGraph, OnnxTensor, OnnxValues } from './onnx.ts';

/** A tensor that ONNX Runtime's quantizer made: value = (quantized − zero point) · scale. */
export interface QuantizedTensor {
  readonly tensor: OnnxTensor;
  /** One for all values, or one for each column, the last dimension. */
  readonly scales: OnnxValues;
  readonly zeroPoints: OnnxValues;
}

export function requireTensor(graph: OnnxGraph, name: string): OnnxTensor {
  const tensor = graph.tensors.get(name);
  if (!tensor) throw new Error(`The ONNX graph has no tensor ${name}.`);
  return tensor;
}

/** ONNX Runtime's quantizer names a tensor's scale and zero point after it. */
export function quantizedTensor(graph: OnnxGraph, name: string): QuantizedTensor {
  const stem = name.replace(/_quantized$/, '');
  const tensor = requireTensor(graph, name);
  const perColumn = (suffix: string): OnnxValues => {
    const { values } = requireTensor(graph, `${stem}_${suffix}`);
    if (values.length !== 1 && values.length !== tensor.shape.at(-1))
      throw new Error(`ONNX tensor ${stem}_${suffix} is neither one number nor one for each column.`);
    return values;
  };
  return { tensor, scales: perColumn('scale'), zeroPoints: perColumn('zero_point') };
}

export function matrixShape({ shape }: OnnxTensor): [number, number] {
  const [outer, inner] = shape;
  if (outer === undefined || inner === undefined || shape.length !== 2)
    throw new Error(`A matrix was expected, not shape ${shape.join('×')}.`);
  return [outer, inner];
}

/** A loop, because `Float32Array.from` with a function goes through a list of all values: ten times the time, five times the memory. */
export function dequantize({ tensor: { values }, scales, zeroPoints }: QuantizedTensor): Float32Array {
  const result = new Float32Array(values.length);
  const [scaleCount, zeroCount] = [scales.length, zeroPoints.length];
  for (let index = 0; index < values.length; index += 1) {
    result[index] = ((values[index] as number) - (zeroPoints[index % zeroCount] as number)) * (scales[index % scaleCount] as number);
  }
  return result;
}

/** [columns, rows], row-major, to [rows, columns] with the rows in the order wanted: `rowOrder[i]` is the source row that becomes row i. */
export function transpose(values: Float32Array, columns: number, rows: number, rowOrder?: readonly number[]): Float32Array {
  const result = new Float32Array(values.length);
  for (let row = 0; row < rows; row += 1) {
    const source = rowOrder?.[row] ?? row;
    for (let column = 0; column < columns; column += 1) result[row * columns + column] = values[column * rows + source] as number;
  }
  return result;
}
