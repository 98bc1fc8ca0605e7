import type { CacheWish, ClassificationAnswer, ClassificationRequest, EmitEvent } from '@open-autoglm/protocol';

/** A request for classes on its way. */
export interface ClassificationCall {
  /** The model's name as the client wrote it. */
  readonly model: string;
  readonly tenant: string;
  /** Undefined: the request says nothing of it. */
  readonly cache: CacheWish | undefined;
  readonly request: ClassificationRequest;
  /** The classes, in words, for a model that makes embeddings. */
  readonly labels: readonly string[] | undefined;
  /** How much of a difference in likeness makes one in probability. */
  readonly temperature: number | undefined;
  readonly truncate: boolean;
  readonly signal: AbortSignal;
  readonly emit: EmitEvent;
}

/** An answer, and how it came about. */
export interface ClassifiedTexts extends ClassificationAnswer {
  /** By labels, without a model that was made for them: at this temperature. */
  readonly zeroShot?: { readonly temperature: number } | undefined;
  /** As `EmbeddingAnswer.isKept`. */
  readonly isKept?: boolean | undefined;
}

export type ClassificationPath = (call: ClassificationCall) => Promise<ClassifiedTexts>;
