import koffi from 'koffi';
import type { Ggml, Pointer } from '../ggml/bindings.ts';
import { tensorLayout } from '../ggml/tensor-layout.ts';
import type { KvRow } from './row-layout.ts';

/** A tensor of rows for each layer, which has no memory yet. Rows may be further apart than they are long. */
export function newLayerTensors(ggml: Ggml, context: Pointer, row: KvRow, rowCount: number, layerCount: number): readonly Pointer[] {
  return Array.from({ length: layerCount }, () => {
    const tensor = ggml.newTensor2d(context, row.type, row.length, rowCount);
    koffi.encode(tensor, tensorLayout.nb + 8, 'uint64', row.rowBytes);
    for (const dimension of [2, 3]) koffi.encode(tensor, tensorLayout.nb + dimension * 8, 'uint64', row.rowBytes * rowCount);
    return tensor;
  });
}
