import type { IncomingMessage, ServerResponse } from 'node:http';

/** A call of a route that generates nothing by itself: sessions, files, batches, the cache's entries. */
export interface ResourceCall {
  readonly message: IncomingMessage;
  readonly response: ServerResponse;
  /** The address without its query. */
  readonly path: string;
  /** `x-request-id`; set on the response already. */
  readonly requestId: string;
}

export interface Resource {
  /** Of the path it was found by. */
  readonly methods: readonly string[];
  /** Answers; what it throws becomes the error's response. */
  serve(call: ResourceCall): Promise<void>;
}

/** Finds what stands at a path; undefined: nothing of these. */
export type FindResource = (path: string) => Resource | undefined;
