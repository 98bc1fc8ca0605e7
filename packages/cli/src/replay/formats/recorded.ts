/**
 * The trace format of open-autoglm: JSON Lines, one request a line, in the order of arrival. Each line stands alone, so that
 * `head`, `grep` and `cat` make traces of traces. `autoglm record` writes it, `autoglm replay` reads it.
 *
 * With contents (allowed by whoever records), a line holds the request's `body` as it came, and it is sent again as it is, but for the
 * model's name, `stream` and `stream_options`. Without, it holds the `prompt`'s shape, and a prompt of that shape is synthesised:
 * as long, and beginning like another one exactly as far as the recorded two did.
 *
 *   {"autoglm_trace":1,"at_ms":0,"path":"/v1/chat/completions","prompt":{"tokens":211,"characters":840,"block_characters":64,"block_hashes":["5e3c…","91ab…"]},"output_tokens":57}
 *   {"autoglm_trace":1,"at_ms":131.4,"path":"/v1/chat/completions","body":{"model":"default","messages":[…]},"output_tokens":12,"answer":{"sha256":"9f86…"}}
 */
export interface RecordedRequest {
  /** Version of the format. */
  readonly autoglm_trace: 1;
  /** Arrival, since any fixed moment of the recording. */
  readonly at_ms: number;
  /** Always POST. Only these two can be replayed. */
  readonly path: '/v1/chat/completions' | '/v1/completions';
  readonly model?: string;
  /**
   * What was asked for besides the prompt: `stream`, `max_tokens`, `temperature` … Of these only the limit is heeded, where `output_tokens`
   * is unknown.
   */
  readonly asked?: Readonly<Record<string, number | boolean>>;
  /** The whole body, where contents may be recorded. */
  readonly body?: Readonly<Record<string, unknown>>;
  /** The prompt's shape, where they may not. One of `body` and `prompt` is there. */
  readonly prompt?: RecordedPrompt;
  /** Length of the answer; unknown when the client left first. */
  readonly output_tokens?: number;
  /** What is known of the right answer; only beside `body`, for another prompt has another answer. */
  readonly answer?: RecordedAnswer;
  /** What happened when it was recorded; nobody acts on it. */
  readonly recorded?: {
    readonly status?: number;
    /** The answer broke off: the client left, or the server did. */
    readonly cut?: true;
    /** Since the arrival. Only of streams. */
    readonly ttft_ms?: number;
    readonly tpot_ms?: number;
    readonly e2e_ms?: number;
    readonly cached_tokens?: number;
    /** Where `output_tokens` is from: what the server said, or chunks with text, which may hold more than a token each. */
    readonly counted_by?: 'usage' | 'chunks';
  };
}

/** The shape of a prompt: how long, and which prefix it shares with others of the trace. */
export interface RecordedPrompt {
  /** As the server counted. */
  readonly tokens?: number;
  /** UTF-16 units of all roles and contents together, tools before them. */
  readonly characters: number;
  /** Length of a block; only whole blocks have a hash. */
  readonly block_characters: number;
  /**
   * One for each whole block from the beginning, each over everything up to its block's end: equal hashes mean equal prefixes.
   * Keyed with a secret of the recording that is not written, so that nobody can guess a prompt and check it.
   */
  readonly block_hashes: readonly string[];
}

/** Those that are given must all hold; texts are compared without white space at either end. */
export interface RecordedAnswer {
  readonly equals?: string;
  readonly contains?: string;
  /** Hexadecimal, of the answer's text in UTF-8. Write it only for answers that can be repeated: temperature 0, or a seed. */
  readonly sha256?: string;
}
