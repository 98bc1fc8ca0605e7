import type { RecordedAnswer } from '../formats/recorded.ts';

/** What the generator's thread needs to send a request. */
export interface RequestToSend {
  readonly target: number;
  readonly block: number;
  readonly dueInBlockMs: number;
  /** As it goes to the server, head and body, in a buffer of its own. */
  readonly message: Uint8Array<ArrayBuffer>;
}

/** What is asked of its answer. */
export interface ExpectedAnswer {
  readonly index: number;
  readonly target: number;
  readonly slice: number;
  readonly promptTokensWanted?: number;
  readonly answer?: RecordedAnswer;
}

/** A request that needs only to be sent. */
export type PreparedRequest = RequestToSend & ExpectedAnswer;
