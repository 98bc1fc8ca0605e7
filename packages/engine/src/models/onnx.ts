import { PbfReader } from 'pbf';

export interface OnnxNode {
  readonly name: string;
  readonly operator: string;
  readonly inputs: readonly string[];
}

export type OnnxValues = Float32Array | Int8Array | Uint8Array;

export interface OnnxTensor {
  /** Row-major: the last dimension is contiguous. A scalar has no dimensions. */
  readonly shape: readonly number[];
  readonly values: OnnxValues;
}

/** What a converter of weights needs of an ONNX model: who uses which initializer. Attributes are left out. */
export interface OnnxGraph {
  readonly nodes: readonly OnnxNode[];
  readonly tensors: ReadonlyMap<string, OnnxTensor>;
}

/** Field numbers of `onnx.proto`. */
const modelField = { graph: 7 } as const;
const graphField = { node: 1, initializer: 5 } as const;
const nodeField = { input: 1, name: 3, operator: 4 } as const;
const tensorField = { dims: 1, dataType: 2, floatData: 4, int32Data: 5, name: 8, rawData: 9 } as const;

/** Values of `TensorProto.DataType` that weights come in. */
const dataType = { FLOAT: 1, UINT8: 2, INT8: 3 } as const;
/** What shapes and indices come in; no weights. */
const indexType = 7;

/**
 * Reads the nodes and initializers of a serialised `onnx.ModelProto`. int8 and uint8 tensors are views into `bytes`, so
 * a file of 30 MB costs no second 30 MB. Shapes and indices are left out. Throws on weights that lie in other files or have another type.
 */
export function parseOnnx(bytes: Uint8Array): OnnxGraph {
  const nodes: OnnxNode[] = [];
  const tensors = new Map<string, OnnxTensor>();
  const readGraphField = (field: number, _: null, reader: PbfReader): void => {
    if (field === graphField.node) nodes.push(readNode(reader));
    else if (field === graphField.initializer) addTensor(tensors, reader);
  };
  new PbfReader(bytes).readFields((field, _, reader) => {
    if (field === modelField.graph) reader.readMessage(readGraphField, null);
  }, null);
  return { nodes, tensors };
}

function readNode(reader: PbfReader): OnnxNode {
  const node = { name: '', operator: '', inputs: [] as string[] };
  return reader.readMessage((field, into, from) => {
    if (field === nodeField.input) into.inputs.push(from.readString());
    else if (field === nodeField.name) into.name = from.readString();
    else if (field === nodeField.operator) into.operator = from.readString();
  }, node);
}

interface TensorFields {
  name: string;
  dims: number[];
  dataType: number;
  raw: Uint8Array | undefined;
  numbers: number[];
}

function addTensor(tensors: Map<string, OnnxTensor>, reader: PbfReader): void {
  const fields: TensorFields = { name: '', dims: [], dataType: 0, raw: undefined, numbers: [] };
  reader.readMessage((field, into, from) => {
    if (field === tensorField.dims) from.readPackedVarint(into.dims);
    else if (field === tensorField.dataType) into.dataType = from.readVarint();
    else if (field === tensorField.floatData) from.readPackedFloat(into.numbers);
    else if (field === tensorField.int32Data) from.readPackedVarint(into.numbers, true);
    else if (field === tensorField.name) into.name = from.readString();
    else if (field === tensorField.rawData) into.raw = from.readBytes();
  }, fields);
  if (fields.dataType === indexType) return;
  const values = toValues(fields);
  const count = fields.dims.reduce((product, size) => product * size, 1);
  if (values.length !== count) throw new Error(`ONNX tensor ${fields.name} has ${values.length} values for ${count} places.`);
  tensors.set(fields.name, { shape: fields.dims, values });
}

/** Small tensors come as lists of numbers, large ones as raw little-endian bytes. */
function toValues({ name, dataType: type, raw, numbers }: TensorFields): OnnxValues {
  switch (type) {
    case dataType.FLOAT:
      // Copied, because the bytes of a protobuf field are not aligned.
      return raw ? new Float32Array(Uint8Array.from(raw).buffer) : Float32Array.from(numbers);
    case dataType.UINT8:
      return raw ?? Uint8Array.from(numbers);
    case dataType.INT8:
      return raw ? new Int8Array(raw.buffer, raw.byteOffset, raw.byteLength) : Int8Array.from(numbers);
    default:
      throw new Error(`ONNX tensor ${name} has data type ${type}, which is not read.`);
  }
}
