import type { IncomingHttpHeaders } from 'node:http';
import type { EmbeddingAnswer, GatewayRequest, StreamPart } from '@open-autoglm/protocol';
import type { AnswerFormat } from './answer-format.ts';
import type { Exchange } from './exchange.ts';

/** Who left work here, as it was known then: credentials are not kept. */
export interface Caller {
  /** The key's name; undefined where keys were not checked. */
  readonly key: string | undefined;
  /** Hashed; empty where nothing tells. */
  readonly tenant: string;
}

/**
 * A request in OpenAI's words that did not come as an HTTP request of its own: a line of a batch, a session's next turn, a call over gRPC.
 */
export interface AskCall {
  readonly api: AnswerFormat['api'];
  /** As a client would send it; it is checked here. */
  readonly body: unknown;
  /** On whose behalf: credentials, tenant, trace. */
  readonly headers: IncomingHttpHeaders;
  /** In the place of credentials and tenant, for work that was left here: a line of a batch. It takes what the limits leave to others. */
  readonly caller?: Caller | undefined;
  /** Aborting it abandons the request. */
  readonly signal: AbortSignal;
}

/** A request on its way, and what comes back. */
export interface Asked extends Omit<Exchange, 'response'> {
  readonly parts: AsyncIterable<StreamPart>;
}

/** A request for embeddings on its way. */
export interface AskedEmbeddings extends Pick<Exchange, 'requestId' | 'timings'> {
  readonly model: string;
  readonly encodingFormat: 'float' | 'base64';
  readonly answer: Promise<EmbeddingAnswer>;
}

/** As `Asker`, for `/v1/embeddings`. */
export interface EmbeddingAsker {
  embed<T>(call: Omit<AskCall, 'api'>, use: (asked: AskedEmbeddings) => Promise<T>): Promise<T>;
}

/** Sends requests down the same path as HTTP does, in the same bound of requests in hand, and as observed. */
export interface Asker {
  /**
   * Resolves or rejects as `use` does, and lets go of everything then. Rejects with the typed errors of a body that is not valid, and with
   * `queue_full` and `draining`.
   */
  run<T>(call: AskCall, use: (asked: Asked) => Promise<T>): Promise<T>;
}

/** As `Asker`, for what another gateway answers. */
export interface Relay {
  /**
   * As `run`, for a chat that `use` has answered by another gateway: its caller is let in, counted and observed here, and what the body
   * asks for is judged there. The request's signal aborts it, and its `emit` is told what it took.
   */
  relay<T>(call: Omit<AskCall, 'api'>, use: (request: GatewayRequest) => Promise<T>): Promise<T>;
}
