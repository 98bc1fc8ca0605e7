import type { Hyperparameters } from '../architectures/hyperparameters.ts';
import type { Ggml } from '../ggml/bindings.ts';
import type { Device } from '../ggml/device.ts';
import type { KvType } from './row-layout.ts';

/** What every strategy needs to know. */
export interface KvCacheParts {
  readonly ggml: Ggml;
  readonly device: Device;
  readonly sizes: Hyperparameters;
  readonly maxSequences: number;
  /** Tokens that one sequence may hold. */
  readonly contextLength: number;
  readonly type: KvType;
}
