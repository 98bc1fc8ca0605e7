import type { CacheResult, GatewayRequest } from '@open-autoglm/protocol';
import type { ModelIdentity } from '../common/model-catalog.ts';
import type { AnswerEntry } from './answer-entry.ts';

/** A request that the cache was asked about. */
export interface Question {
  readonly key: string;
  readonly identity: ModelIdentity;
  readonly request: GatewayRequest;
}

/** A question that was answered before and wants the same answer. */
export interface NearAnswer {
  /** Of the answer that was kept. */
  readonly key: string;
  /** What the client is told beside key, age and level: how near it is, by which rule. */
  readonly more: Readonly<Record<string, unknown>>;
}

/**
 * Who finds answers of similar questions, and watches what is asked. Nothing that it does or fails to do changes whether a request is
 * answered: what it throws is an answer that was not found.
 */
export interface NearAnswers {
  /** Asked after an exact miss, before anything is computed; once for all who ask the same at the same time. */
  find(question: Question, signal: AbortSignal): Promise<NearAnswer | undefined>;
  /** An answer was computed and kept. */
  onKept(question: Question, entry: AnswerEntry): void;
  /** Every request that the cache has a use for, before it is answered. */
  onAsked(question: Question, result: Exclude<CacheResult, 'off'>): void;
  /** It must not be found any more. */
  onRevoked(key: string): void;
}
