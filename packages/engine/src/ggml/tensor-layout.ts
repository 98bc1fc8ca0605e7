import koffi from 'koffi';
import { AutoglmError } from '@open-autoglm/protocol';
import type { Ggml, Pointer } from './bindings.ts';
import { GgmlType } from './types.ts';

/** Byte offsets of the fields of `struct ggml_tensor` that the engine reads or writes itself. */
export const tensorLayout = { buffer: 8, ne: 16, nb: 48, data: 248, name: 256 } as const;

/** From one column of a matrix to the next. */
export function columnBytes(tensor: Pointer): number {
  return Number(koffi.decode(tensor, tensorLayout.nb + 8, 'uint64'));
}

/** Throws `engine_failed` when the loaded ggml lays tensors out differently. */
export function checkTensorLayout(ggml: Ggml): void {
  const context = ggml.init({ mem_size: ggml.tensorOverhead() * 2, mem_buffer: null, no_alloc: true });
  const tensor = ggml.newTensor1d(context, GgmlType.F32, 1);
  const nameOffset = Number(ggml.getName(tensor) - tensor);
  ggml.free(context);
  if (nameOffset !== tensorLayout.name) {
    throw new AutoglmError('engine_failed', `ggml's tensors are laid out differently (name at ${nameOffset}): run npm ci.`);
  }
}
