import type { TraceContext } from './request.ts';
import type { Lane } from './standing.ts';

/** A request that asks the same of several texts: for embeddings, for classes. */
export interface TextsRequest {
  /** Its own among all that are under way. */
  readonly id: string;
  /** As `GatewayRequest.requestId`. */
  readonly requestId?: string | undefined;
  /** Texts, or their token ids, which are taken as they are: with those that the model wants at both ends. None is empty. */
  readonly inputs: readonly (string | readonly number[])[];
  /** In real time when absent. */
  readonly lane?: Lane | undefined;
  /** What the client wrote, for who passes it on: fields that have no name here. */
  readonly fields?: Readonly<Record<string, unknown>> | undefined;
  /** As `GatewayRequest.traceContext`. */
  readonly traceContext?: (() => TraceContext | undefined) | undefined;
}
