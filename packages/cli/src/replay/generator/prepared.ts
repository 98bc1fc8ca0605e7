import type { RecordedAnswer } from '../formats/recorded.ts';
import type { CompletionPath } from '../trace/trace-format.ts';

/** A request that needs only to be sent. */
export interface PreparedRequest {
  readonly index: number;
  readonly target: number;
  readonly slice: number;
  readonly block: number;
  readonly dueInBlockMs: number;
  readonly path: CompletionPath;
  /** JSON in UTF-8, in a buffer of its own. */
  readonly body: Uint8Array<ArrayBuffer>;
  readonly promptTokensWanted?: number;
  readonly answer?: RecordedAnswer;
}

/** Where a request goes, with what goes into its headers. */
export interface SenderTarget {
  /** Without `/v1`. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}
