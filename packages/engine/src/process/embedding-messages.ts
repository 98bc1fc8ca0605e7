import type { EmbeddingModelInfo, EmbeddingRequest } from '@open-autoglm/protocol';
import type { FinishedRequest } from '../encoder/embedding-core.ts';
import type { WireError } from './messages.ts';

/** Everything that the embedding process must know to start. */
export interface EmbeddingProcessOptions {
  /** The name of a model, such as `bge-small-zh`, or the path of a GGUF file. */
  readonly model: string;
  /** The name that clients use. */
  readonly id: string;
  readonly threads: number;
  /** Texts of each lane that may wait. */
  readonly maxQueue: number;
  /** As `SharingLimits.batchShareMin`. */
  readonly batchShareMin: number;
  /** Folder of converted models. */
  readonly home: string;
}

/** From the gateway to the embedding process. */
export type EmbeddingCommand =
  | { readonly type: 'start'; readonly options: EmbeddingProcessOptions }
  | { readonly type: 'embed'; readonly request: Pick<EmbeddingRequest, 'id' | 'inputs' | 'dimensions' | 'truncate' | 'lane'> }
  | { readonly type: 'abort'; readonly id: string };

/** From the embedding process to the gateway. */
export type EmbeddingReport =
  | { readonly type: 'progress'; readonly phase: string; readonly fraction: number }
  | { readonly type: 'ready'; readonly model: EmbeddingModelInfo; readonly notice: undefined }
  | { readonly type: 'failed'; readonly error: WireError }
  /** A step has ended that brought nothing yet; see `LifeSign`. */
  | { readonly type: 'alive' }
  | { readonly type: 'vectors'; readonly finished: FinishedRequest }
  | { readonly type: 'error'; readonly id: string; readonly error: WireError };
