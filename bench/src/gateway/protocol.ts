/** Chunks with text in a streamed answer. */
export const answerChunks = 50;

/** To the fake backend: how long each answer is to take from now on, or how many it has given. */
export type BackendQuestion = { readonly delayMs: number } | { readonly count: true };
export interface BackendAnswer {
  readonly answers: number;
}

/** Requests in a closed loop: so many at once, until the time is over or so many are done. */
export interface LoopTask {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: object;
  /** In the place of `body`: those of this order, over and over. */
  readonly bodies?: readonly object[];
  readonly order?: readonly number[];
  readonly concurrency: number;
  readonly durationMs: number;
  readonly requestsMax?: number;
}

export interface LoopResult {
  readonly elapsedMs: number;
  /** Of requests that were answered in full, in order of their ends. */
  readonly latenciesMs: readonly number[];
  /** When each of them ended, since the start. */
  readonly endsMs: readonly number[];
  /** Answered with an error, cut off, or not at all. */
  readonly failed: number;
  readonly failure: string | undefined;
}
