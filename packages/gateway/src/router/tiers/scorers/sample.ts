import type { FinishReason, ResponseFormat } from '@open-autoglm/protocol';

/** One choice of an answer, whole, as scorers look at it. */
export interface AnswerSample {
  readonly text: string;
  /** Natural logarithms of the tokens' probabilities, in order; undefined where the engine tells none. */
  readonly logprobs: readonly number[] | undefined;
  readonly finishReason: FinishReason | undefined;
  /** The client bounded the answer's length itself. */
  readonly isLimited: boolean;
  /** It calls tools: it may have nothing to say. */
  readonly callsTools: boolean;
  readonly responseFormat: ResponseFormat | undefined;
}

/** How far an answer may be trusted by one of its signs, 0 … 1; undefined where the sign says nothing of this one. Pure. */
export type Scorer = (sample: AnswerSample) => number | undefined;
