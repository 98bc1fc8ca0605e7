/** What became of one request of a trace. Times in milliseconds since the replay began, on one monotonic clock. */
export interface RequestOutcome {
  readonly index: number;
  /** Which contestant answered: its index in the targets (0, or 0 and 1 when comparing). */
  readonly target: number;
  /**
   * The slice of the trace that the request belongs to: the same number for both targets, so slices are the pairs that intervals are made
   * of. 0 with one target.
   */
  readonly slice: number;
  /**
   * When the trace says it was to be sent; latencies count from here, so that a late generator or server hides nothing (coordinated
   * omission).
   */
  readonly dueAtMs: number;
  /** Absent when it was never sent. */
  readonly sentAtMs?: number;
  readonly firstTokenAtMs?: number;
  readonly endedAtMs: number;
  /** Chunks with text. TPOT = (end − first token) / (outputTokens − 1), for answers of two tokens and more. */
  readonly chunkCount: number;
  /** What the trace asks for, after `--prompt-scale` and `--max-prompt-tokens`; absent where the trace does not count. */
  readonly promptTokensWanted?: number;
  /** From the server's usage, or its `autoglm.usage`. */
  readonly promptTokens?: number;
  readonly cachedTokens?: number;
  /** From the server's usage, else counted chunks. */
  readonly outputTokens: number;
  readonly outcome: 'answered' | 'refused' | 'failed' | 'cut' | 'timed-out' | 'abandoned';
  /** HTTP status, when there was one. */
  readonly status?: number;
  /** For people, and to count by: one cause has one text, such as `connection reset`, at most 200 characters. Absent when answered. */
  readonly error?: string;
  /** Where the trace knows the answer. */
  readonly answerCorrect?: boolean;
  /** The server's own segments, when it is open-autoglm (last chunk's autoglm.timings); milliseconds. */
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
 *   cut         the answer had begun, and broke off: a reset, an end without `finish_reason` or `[DONE]`, an error event
 *   timed-out   no end within the time limit of a request
 *   abandoned   never sent, or given up by the replay itself: too many in flight, Ctrl-C, a server that answers nothing at all
 */
export type OutcomeKind = RequestOutcome['outcome'];
