interface ErrorEntry {
  readonly status: number;
  /** OpenAI's error type. */
  readonly type: string;
  /** Whether the same request may succeed if it is sent again. */
  readonly retryable: boolean;
}

const invalid = { type: 'invalid_request_error', retryable: false } as const;
const server = { type: 'server_error' } as const;

/** Every error that a client can see, once: code → HTTP status, OpenAI type, retryability. */
export const errorTable = {
  invalid_json: { status: 400, ...invalid },
  invalid_value: { status: 400, ...invalid },
  invalid_parameter_combination: { status: 400, ...invalid },
  missing_parameter: { status: 400, ...invalid },
  unknown_parameter: { status: 400, ...invalid },
  context_length_exceeded: { status: 400, ...invalid },
  missing_api_key: { status: 401, ...invalid },
  invalid_api_key: { status: 401, ...invalid },
  permission_denied: { status: 403, ...invalid },
  request_refused: { status: 403, ...invalid },
  model_not_found: { status: 404, ...invalid },
  route_not_found: { status: 404, ...invalid },
  cache_entry_not_found: { status: 404, ...invalid },
  session_not_found: { status: 404, ...invalid },
  file_not_found: { status: 404, ...invalid },
  batch_not_found: { status: 404, ...invalid },
  answer_not_found: { status: 404, ...invalid },
  method_not_allowed: { status: 405, ...invalid },
  request_timeout: { status: 408, type: 'timeout_error', retryable: true },
  batch_not_cancellable: { status: 409, ...invalid },
  precondition_failed: { status: 412, ...invalid },
  duplicate_request: { status: 409, ...invalid, retryable: true },
  storage_limit_exceeded: { status: 413, ...invalid },
  payload_too_large: { status: 413, ...invalid },
  unsupported_media_type: { status: 415, ...invalid },
  request_unprocessable: { status: 422, ...invalid },
  unsupported_feature: { status: 422, ...invalid },
  patch_not_applicable: { status: 422, ...invalid },
  precondition_required: { status: 428, ...invalid },
  queue_full: { status: 429, type: 'rate_limit_error', retryable: true },
  deadline_unreachable: { status: 429, type: 'rate_limit_error', retryable: true },
  device_limit_exceeded: { status: 429, type: 'rate_limit_error', retryable: true },
  rate_limit_exceeded: { status: 429, type: 'rate_limit_error', retryable: true },
  session_limit_exceeded: { status: 429, type: 'rate_limit_error', retryable: true },
  client_closed_request: { status: 499, ...invalid },
  internal_error: { status: 500, ...server, retryable: false },
  engine_crashed: { status: 502, ...server, retryable: true },
  upstream_error: { status: 502, ...server, retryable: true },
  upstream_unreachable: { status: 502, ...server, retryable: true },
  engine_failed: { status: 503, ...server, retryable: false },
  engine_unavailable: { status: 503, ...server, retryable: true },
  draining: { status: 503, ...server, retryable: true },
  storage_unavailable: { status: 503, ...server, retryable: true },
  cache_unavailable: { status: 503, ...server, retryable: true },
  session_store_unavailable: { status: 503, ...server, retryable: true },
  event_store_unavailable: { status: 503, ...server, retryable: true },
  upstream_connect_timeout: { status: 504, type: 'timeout_error', retryable: true },
  upstream_timeout: { status: 504, type: 'timeout_error', retryable: true },
  not_cached: { status: 504, ...invalid },
  deadline_exceeded: { status: 504, type: 'timeout_error', retryable: false },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof errorTable;

export interface ErrorDetails {
  /** The request's field at fault, as the client wrote it: `messages[0].content`. */
  readonly param?: string | undefined;
  readonly retryAfterSeconds?: number | undefined;
  readonly cause?: unknown;
}

/** The only error that stages and engines throw on purpose. */
export class AutoglmError extends Error {
  override readonly name = 'AutoglmError';
  readonly code: ErrorCode;
  readonly param: string | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, { cause: details.cause });
    this.code = code;
    this.param = details.param;
    this.retryAfterSeconds = details.retryAfterSeconds;
  }

  get status(): number {
    return errorTable[this.code].status;
  }

  get type(): string {
    return errorTable[this.code].type;
  }

  get retryable(): boolean {
    return errorTable[this.code].retryable;
  }
}

/** An `AutoglmError` as it is; anything else as `internal_error`, whose message tells a client nothing of the inside. */
export function toAutoglmError(error: unknown): AutoglmError {
  if (error instanceof AutoglmError) return error;
  return new AutoglmError('internal_error', 'The server failed to handle this request.', { cause: error });
}
