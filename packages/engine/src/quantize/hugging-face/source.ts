import { open } from 'node:fs/promises';
import path from 'node:path';
import { AutoglmError } from '@open-autoglm/protocol';
import { GgmlType } from '../../ggml/types.ts';
import type { GgufValue } from '../../models/gguf-writer.ts';
import { shown } from '../../models/shown.ts';
import { rowsPerPiece } from '../convert-rows.ts';
import { sourceOfHeadRow } from '../head-rows.ts';
import { readBytes, type ModelSource, type SourceTensor } from '../model-source.ts';
import { checkTensors } from './check-tensors.ts';
import { readConfig, type HuggingFaceConfig, type ModelShape } from './config.ts';
import { readObject } from './read-object.ts';
import { readSafetensors, type SafeTensor } from './safetensors.ts';
import { isDerived, placeOf, type TensorPlace } from './tensor-names.ts';
import { readTokenizer } from './tokenizer.ts';

/**
 * A folder as `transformers` saves a model: config.json, tokenizer.json, tokenizer_config.json, model*.safetensors. Throws `engine_failed`.
 */
export async function huggingFaceSource(folder: string): Promise<ModelSource> {
  const config: HuggingFaceConfig = await readObject(folder, 'config.json');
  const shape = readConfig(config, folder);
  const found = await readSafetensors(folder);
  const tensors = [...place([...found.values()], shape, folder), ...ropeTensor(shape)];
  const rows = checkTensors(
    tensors.filter(({ name }) => name !== ropeFactorsName),
    shape,
    folder,
  );
  return {
    name: folder,
    architecture: shape.architecture,
    layerCount: shape.layerCount,
    metadata: new Map<string, GgufValue>([
      ...shape.metadata,
      ['general.name', { type: 'string', value: path.basename(path.resolve(folder)) }],
      [`${shape.architecture}.vocab_size`, { type: 'u32', value: rows }],
      ...(await readTokenizer(folder, config, rows)),
    ]),
    tensors,
  };
}

function place(tensors: readonly SafeTensor[], shape: ModelShape, folder: string): SourceTensor[] {
  return tensors.flatMap((tensor) => {
    // Some files store the tied matrix twice.
    if (isDerived(tensor.name) || (shape.isTied && tensor.name === 'lm_head.weight')) return [];
    const target = placeOf(tensor.name, shape.architecture);
    if (!target) throw unusable(folder, `this engine does not know what its tensor ${shown(tensor.name)} is for`);
    return [{ name: target.name, type: tensor.type, shape: tensor.shape.toReversed(), pieces: () => readPieces(tensor, target, shape) }];
  });
}

async function* readPieces(tensor: SafeTensor, { heads }: TensorPlace, { headLength }: ModelShape): AsyncGenerator<Uint8Array> {
  const isMatrix = tensor.shape.length > 1;
  const [rows = 1, columns = 1] = isMatrix ? tensor.shape : [tensor.shape[0], 1];
  const rowBytes = columns * tensor.elementBytes;
  // A vector is one piece. Heads must not be cut.
  const unit = heads ? headLength : 1;
  const atOnce = isMatrix ? Math.max(unit, Math.floor(rowsPerPiece(columns) / unit) * unit) : rows;
  const file = await open(tensor.file);
  try {
    for (let row = 0; row < rows; row += atOnce) {
      const bytes = await readBytes(file, tensor.offset + row * rowBytes, Math.min(atOnce, rows - row) * rowBytes, () =>
        unusable(tensor.file, `it ends inside the tensor ${shown(tensor.name)}`),
      );
      yield heads ? interleaveHalves(bytes, rowBytes, headLength) : bytes;
    }
  } finally {
    await file.close();
  }
}

function interleaveHalves(bytes: Uint8Array, rowBytes: number, headLength: number): Uint8Array {
  const result = new Uint8Array(bytes.length);
  for (let row = 0; row * rowBytes < bytes.length; row += 1) {
    const source = sourceOfHeadRow(row, headLength);
    result.set(bytes.subarray(source * rowBytes, (source + 1) * rowBytes), row * rowBytes);
  }
  return result;
}

const ropeFactorsName = 'rope_freqs.weight';

function ropeTensor({ ropeFactors }: ModelShape): SourceTensor[] {
  if (!ropeFactors) return [];
  const bytes = new Uint8Array(ropeFactors.buffer);
  return [
    {
      name: ropeFactorsName,
      type: GgmlType.F32,
      shape: [ropeFactors.length],
      pieces: async function* () {
        yield bytes;
      },
    },
  ];
}

function unusable(folder: string, reason: string): AutoglmError {
  return new AutoglmError('engine_failed', `${folder} cannot be used: ${reason}.`);
}
