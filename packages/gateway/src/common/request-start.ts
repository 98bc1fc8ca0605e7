/** What is known of a generation when its headers have arrived. */
export interface RequestStart {
  /** `x-request-id`. */
  readonly requestId: string;
  /** In OpenTelemetry's words (`gen_ai.operation.name`) where it has one. */
  readonly operation: 'chat' | 'text_completion' | 'embeddings' | 'classification';
  /** `performance.now()` when the headers were there. */
  readonly startedAtMs: number;
  /** W3C trace context as the client sent it, unchecked. */
  readonly traceparent: string | undefined;
  readonly tracestate: string | undefined;
}
