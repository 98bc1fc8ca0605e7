/** Named parts of a request's time, as `Server-Timing` reports them. */
export type Segment = 'prejudge' | 'input' | 'cache' | 'queue' | 'prefill' | 'decode' | 'upstream' | 'output' | 'total';

export type RequestOutcome = 'answered' | 'failed' | 'abandoned';

/** Facts that stages state about a request, with reasons. Metrics, traces and headers subscribe; no stage knows them. */
export type GatewayEvent =
  /** The body was read and understood. */
  | { readonly type: 'request-parsed'; readonly model: string; readonly stream: boolean; readonly maxTokens: number | undefined; readonly choiceCount: number }
  /** A part of the time has ended now; `reason` says what it was spent on, where the stage knows. */
  | { readonly type: 'segment-end'; readonly segment: Segment; readonly durationMs: number; readonly reason?: string }
  | { readonly type: 'engine-chosen'; readonly engine: string; readonly tier: string; readonly reason: string }
  /** A prompt has been read by the engine; one event for each choice. */
  | { readonly type: 'prompt-end'; readonly promptTokens: number; readonly cachedTokens: number }
  /** The first text of the request is about to be written. */
  | { readonly type: 'first-token' }
  | { readonly type: 'choice-end'; readonly finishReason: string; readonly completionTokens: number }
  /** The last event of every request. `status` is the HTTP status sent, or that would have been sent. */
  | { readonly type: 'request-end'; readonly outcome: RequestOutcome; readonly status: number; readonly code?: string };

export type EmitEvent = (event: GatewayEvent) => void;
