import type { ServerResponse } from 'node:http';
import type { CacheResult, GatewayRequest } from '@open-autoglm/protocol';
import type { AnswerFormat } from './answer-format.ts';

/** What the answer needs to know of its request's time; `observability/` collects it. */
export interface AnswerTimings {
  readonly engine: string | undefined;
  readonly tier: string | undefined;
  /** Undefined: no cache was asked. */
  readonly cache: CacheResult | undefined;
  /** What stages have to say of the answer, for its `autoglm`. */
  readonly notes: Readonly<Record<string, unknown>> | undefined;
  /** Tokens that it took, prompt and answer, when it is over; undefined where nobody knows. */
  readonly tokensUsed: number | undefined;
  /** As far as an engine has told. */
  readonly promptTokens: number;
  readonly completionTokens: number;
  header(): string;
  fields(): Record<string, number>;
  /** For the answer's `autoglm`: the fields, what made it slow where something did, and the notes. */
  told(): Record<string, unknown>;
}

/** One request and the response that it is owed. */
export interface Exchange {
  readonly request: GatewayRequest;
  /** `x-request-id`. */
  readonly requestId: string;
  readonly format: AnswerFormat;
  readonly response: ServerResponse;
  readonly timings: AnswerTimings;
  /** What else the answer says in its headers. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Seconds since 1970, as OpenAI's `created`. */
  readonly created: number;
}
