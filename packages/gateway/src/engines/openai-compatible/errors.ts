import { AutoglmError, errorTable, isObject, type ErrorCode } from '@open-autoglm/protocol';
import { isUnconnected } from './connector.ts';

/** More of another server's message is not passed on. */
const messageLengthMax = 1000;
const retryAfterSecondsMax = 86_400;
/** nginx's word for a client that left. Ours has not: it is the engine, or what stands before it, that gave up. */
const clientLeftStatus = 499;

/** An HTTP status other than 200, and the body that came with it, as an error of ours. */
export function errorOfStatus(engine: string, status: number, body: string, retryAfter?: string | undefined): AutoglmError {
  const told = readError(body);
  const retryAfterSeconds = readRetryAfter(retryAfter);
  const upstream = (code: ErrorCode, message: string) =>
    new AutoglmError(code, `The engine ${engine} ${message}`, { retryAfterSeconds, cause: told.message });
  if (status === 429)
    return new AutoglmError('rate_limit_exceeded', told.message ?? `The engine ${engine} has too many requests.`, {
      retryAfterSeconds: retryAfterSeconds ?? 1,
    });
  // The gateway's own key, account and address: no client can do anything about them, and another engine may answer.
  if (status === 401 || status === 403 || status === 407)
    return upstream('upstream_error', `refused the gateway's credentials (status ${status}).`);
  if (status === 402) return upstream('upstream_error', "wants the gateway's account to be paid for (status 402).");
  if (status === 404 || status === 405)
    return upstream('upstream_error', `does not know the model or the path that it was asked for (status ${status}).`);
  if (status === 408 || status === 504) return upstream('upstream_timeout', `ran out of time (status ${status}).`);
  if (status < 400 || status >= 500 || status === clientLeftStatus) return upstream('upstream_error', `answered with status ${status}.`);
  return new AutoglmError(codeOf(status, told), told.message ?? `The engine ${engine} refused the request (status ${status}).`, {
    param: told.param,
  });
}

/** An error that came as an event of a stream, whose status had been 200. */
export function errorOfEvent(engine: string, data: string): AutoglmError {
  return errorOfStatus(engine, statusOf(readError(data)), data);
}

/**
 * What the error's status would have been, by its number, by a code of ours, or by the types that OpenAI and vLLM have for what the client
 * did wrong.
 */
function statusOf({ status, code, type }: ToldError): number {
  if (status !== undefined && status >= 400 && status <= 599) return status;
  if (code !== undefined && Object.hasOwn(errorTable, code)) return errorTable[code as ErrorCode].status;
  return type === 'invalid_request_error' || type === 'BadRequestError' ? 400 : 500;
}

/** No answer, or the end of one that had begun: undici's and the operating system's errors. */
export function errorOfConnection(engine: string, error: Error): AutoglmError {
  if (error instanceof AutoglmError) return error;
  const code = codeIn(error);
  const [ours, what] =
    connectionErrors[code] ??
    (isUnconnected(error)
      ? ['upstream_unreachable', 'cannot be reached']
      : ['upstream_error', 'broke the connection off before its answer was complete']);
  return new AutoglmError(ours, `The engine ${engine} ${what} (${code || error.name}).`, { cause: error });
}

/** Why a server does not answer its probe, in words. */
export function errorOfProbe(engine: string, error: Error): string {
  if (error.name === 'TimeoutError') return `The engine ${engine} does not answer its health probe.`;
  return codeIn(error) === '' ? `The engine ${engine} is not well: ${error.message}.` : errorOfConnection(engine, error).message;
}

const silences: ReadonlySet<string> = new Set([
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
]);

/**
 * Whether a probe came back with nothing. A connection that is refused or ended is a word of the server, or of its machine, which would
 * have ended the others, too.
 */
export function isSilence(error: Error): boolean {
  return error.name === 'TimeoutError' || silences.has(codeIn(error));
}

const connectionErrors: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  UND_ERR_CONNECT_TIMEOUT: ['upstream_connect_timeout', 'did not accept a connection in time'],
  UND_ERR_HEADERS_TIMEOUT: ['upstream_timeout', 'did not begin to answer in time'],
  UND_ERR_BODY_TIMEOUT: ['upstream_timeout', 'stopped in the middle of its answer'],
};

/** Several addresses were tried: the first one's code stands for all. */
function codeIn(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code) return code;
  const [first] = error instanceof AggregateError ? (error.errors as Error[]) : [];
  return first ? codeIn(first) : '';
}

interface ToldError {
  readonly message: string | undefined;
  readonly code: string | undefined;
  readonly type: string | undefined;
  readonly param: string | undefined;
  readonly status: number | undefined;
}

/** OpenAI's `{"error": {…}}`; Ollama's `{"error": "…"}` in older versions; vLLM's bare object; FastAPI's `{"detail": …}`. */
function readError(body: string): ToldError {
  const parsed = parse(body);
  const error = isObject(parsed['error']) ? parsed['error'] : parsed;
  const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value.slice(0, messageLengthMax) : undefined);
  const { code } = error;
  return {
    message:
      text(error['message']) ??
      text(parsed['error']) ??
      text(parsed['detail']) ??
      text(isObject(parsed['detail']) || Array.isArray(parsed['detail']) ? JSON.stringify(parsed['detail']) : undefined),
    code: text(code) ?? text(error['type']),
    type: text(error['type']),
    param: text(error['param']),
    status: typeof code === 'number' ? code : undefined,
  };
}

function codeOf(status: number, { code, message }: ToldError): ErrorCode {
  if (code !== undefined && Object.hasOwn(errorTable, code) && errorTable[code as ErrorCode].status === status) return code as ErrorCode;
  if (status === 413) return 'payload_too_large';
  if (status === 415) return 'unsupported_media_type';
  if (status === 422) return 'unsupported_feature';
  // llama.cpp by its type, vLLM, SGLang and older llama.cpp only by their words.
  if (code === 'exceed_context_size_error' || /(?:maximum|model's) context length|exceeds the available context size/i.test(message ?? ''))
    return 'context_length_exceeded';
  return 'invalid_value';
}

/** Seconds, or an HTTP date. */
function readRetryAfter(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  // Some say it more exactly than HTTP lets them.
  const seconds = Math.ceil(/^\s*\d+(?:\.\d+)?\s*$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000);
  return Number.isNaN(seconds) ? undefined : Math.min(retryAfterSecondsMax, Math.max(0, seconds));
}

function parse(body: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(body);
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}
