import type { ErrorCode } from '@open-autoglm/protocol';

interface WireError {
  readonly message?: string;
  readonly code?: string | null;
  readonly param?: string | null;
}

/** What the body of a refusal, or an event, says: in OpenAI's shape, as a text alone, or under the names that other servers have for it. */
export function readError(body: unknown): WireError {
  const { error, message, detail } = isRecord(body) ? body : {};
  const { message: said, code, param } = isRecord(error) ? error : { message: error };
  return { ...pick('message', said ?? message ?? detail), ...pick('code', code), ...pick('param', param) };
}

function pick(name: keyof WireError, value: unknown): WireError {
  return typeof value === 'string' ? { [name]: value } : {};
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

/** The server said no. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  /** HTTP status; of an error within a stream, 200. */
  readonly status: number;
  /** One of open-autoglm's table, or another server's own. */
  readonly code: ErrorCode | (string & {}) | undefined;
  /** The field at fault, as it is written: `messages[0].content`. */
  readonly param: string | undefined;
  readonly requestId: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(
    status: number,
    error: WireError,
    details: { readonly requestId?: string | undefined; readonly retryAfterMs?: number | undefined } = {},
  ) {
    super(error.message ?? `The server answered with HTTP ${status}.`);
    this.status = status;
    this.code = error.code ?? undefined;
    this.param = error.param ?? undefined;
    this.requestId = details.requestId;
    this.retryAfterMs = details.retryAfterMs;
  }
}

/** Nobody answered, or the answer broke off: what became of the request is not known. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError';
}
