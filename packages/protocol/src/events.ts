/** Named parts of a request's time, as `Server-Timing` reports them. */
export type Segment = 'prejudge' | 'input' | 'cache' | 'queue' | 'prefill' | 'decode' | 'upstream' | 'output' | 'total';

/** Facts that stages state about a request, with reasons. Metrics, traces and headers subscribe; no stage knows them. */
export type GatewayEvent =
  | { readonly type: 'segment-end'; readonly segment: Segment; readonly durationMs: number; readonly reason?: string }
  | { readonly type: 'engine-chosen'; readonly engine: string; readonly tier: string; readonly reason: string }
  | { readonly type: 'request-end'; readonly outcome: 'answered' | 'failed' | 'abandoned'; readonly code?: string };

export type EmitEvent = (event: GatewayEvent) => void;
