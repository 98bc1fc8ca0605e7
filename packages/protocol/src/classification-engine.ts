import type { EngineStatus } from './engine.ts';
import type { TextsRequest } from './texts-request.ts';

export type ClassificationRequest = TextsRequest;

/** What a text was found to be. */
export interface Classification {
  /** The most probable class; null where the engine has no names for its classes. */
  readonly label: string | null;
  /** Of each class, in the engine's order. */
  readonly probs: readonly number[];
}

export interface ClassificationAnswer {
  /** One for each input, in order. */
  readonly classifications: readonly Classification[];
  readonly promptTokens: number;
}

/**
 * The port that everything which classifies texts by a model made for it implements. Its contract suite is
 * `@open-autoglm/protocol/contract`.
 */
export interface ClassificationEngine {
  /** Named in `x-autoglm-engine`. */
  readonly name: string;
  readonly status: EngineStatus;
  /** Rejects with `queue_full`, `engine_unavailable`, those of another server, or the signal's reason. */
  classify(request: ClassificationRequest, signal: AbortSignal): Promise<ClassificationAnswer>;
  /** Ends every request that runs. Idempotent. */
  close(): Promise<void>;
}
