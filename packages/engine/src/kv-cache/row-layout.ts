import { AutoglmError } from '@open-autoglm/protocol';
import type { Hyperparameters } from '../architectures/hyperparameters.ts';
import type { Ggml } from '../ggml/bindings.ts';
import { GgmlType } from '../ggml/types.ts';

/** How keys and values are stored: as they are (f16), or in blocks of 32 with a scale, at 53 % of the size (q8_0). */
export type KvType = 'f16' | 'q8_0';

/** A token's row of one layer: [keys | values]. Bytes. */
export interface KvRowLayout {
  /** From one row to the next. */
  readonly rowBytes: number;
  /** From the start of a row to its values. */
  readonly valueOffset: number;
  /** From one head to the next. */
  readonly headBytes: number;
}

/** What the row's tensor is made of. */
export interface KvRow extends KvRowLayout {
  /** ggml's number of the type. */
  readonly type: number;
  /** Elements: keys and values of all heads. */
  readonly length: number;
}

const types = { f16: GgmlType.F16, q8_0: GgmlType.Q8_0 } as const;
const quantizedBlock = 32;

/** Rows begin at multiples of `alignment`. Throws `engine_failed` when the type cannot hold the model's heads. */
export function layOutRow(ggml: Ggml, kind: KvType, { kvHeadCount, headLength }: Hyperparameters, alignment = 1): KvRow {
  if (kind === 'q8_0' && headLength % quantizedBlock !== 0) {
    throw new AutoglmError(
      'engine_failed',
      `The model's heads have ${headLength} elements, which q8_0 cannot store in blocks of ${quantizedBlock}: use model_config.kv_cache_type: f16.`,
    );
  }
  const type = types[kind];
  const length = 2 * kvHeadCount * headLength;
  const bytes = ggml.rowSize(type, length);
  return {
    type,
    length,
    rowBytes: Math.ceil(bytes / alignment) * alignment,
    valueOffset: bytes / 2,
    headBytes: ggml.rowSize(type, headLength),
  };
}
