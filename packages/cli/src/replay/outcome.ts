/** What became of one request of a trace. Times in milliseconds since the replay began, on one monotonic clock. */
export interface RequestOutcome {
  readonly index: number;
  /** Which contestant answered: its index in the targets (0, or 0 and 1 when comparing). */
  readonly target: number;
  /** When the trace says it was to be sent; latencies count from here, so that a late generator or server hides nothing (coordinated omission). */
  readonly dueAtMs: number;
  readonly sentAtMs: number;
  readonly firstTokenAtMs?: number;
  readonly endedAtMs: number;
  /** Chunks with text, and their arrival times if kept: TPOT = (end − first token) / (tokens − 1). */
  readonly chunkCount: number;
  /** From the server's usage, else counted chunks. */
  readonly promptTokens?: number;
  readonly cachedTokens?: number;
  readonly outputTokens: number;
  readonly outcome: 'answered' | 'refused' | 'failed' | 'cut' | 'timed-out' | 'abandoned';
  /** HTTP status, when there was one. */
  readonly status?: number;
  /** For people: `ECONNRESET after 3 chunks`. */
  readonly error?: string;
  /** Where the trace knows the answer. */
  readonly answerCorrect?: boolean;
  /** The server's own segments, when it is open-autoglm (last chunk's autoglm.timings). */
  readonly timings?: Readonly<Record<string, number>>;
  /** Largest gap between two chunks. */
  readonly gapMaxMs?: number;
}

/**
 * The outcomes, each with one meaning.
 *
 *   answered    the stream ended as it should
 *   refused     a 4xx (429 among them) or 503: the server said no
 *   failed      any other status, no connection, or what is no stream of completions
 *   cut         the answer had begun, and broke off: a reset, an end without `[DONE]`, an error event
 *   timed-out   no end within the time limit of a request
 *   abandoned   never sent, or given up by the replay itself: too many in flight, Ctrl-C, the end of the run
 */
export type OutcomeKind = RequestOutcome['outcome'];
