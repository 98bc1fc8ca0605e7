import { AutoglmError, isObject, type EngineStatus, type TextsRequest } from '@open-autoglm/protocol';
import type { Dispatcher } from 'undici';
import { isStaleConnection } from './connector.ts';
import { errorOfConnection, errorOfEvent, errorOfStatus } from './errors.ts';
import { readBoundedAnswer } from './read-bounded.ts';
import { requestHeaders } from './upstream-request.ts';
import { isCount, isErrorAnswer } from './wire.ts';

export interface UpstreamTextsOptions {
  readonly name: string;
  readonly dispatcher: Dispatcher;
  /** Of the route. */
  readonly path: string;
  readonly headers: readonly string[];
  /** Its name there. */
  readonly model: string;
  /** Of the server, which somebody else watches and closes. */
  readonly status: () => EngineStatus;
  readonly onOutcome: (error: AutoglmError | undefined) => void;
}

/** Of an answer to so many texts. Throws `upstream_error` for what is none. */
export type ReadAnswer<Answer> = (body: Readonly<Record<string, unknown>>, count: number) => Answer;

/** 2,048 vectors of 4,096 elements, written with many digits. */
const answerBytesMax = 256 * 1024 * 1024;

/** A call of another server that takes many texts: the client's own words go there, and an answer to each comes back. */
export function upstreamTexts<Request extends TextsRequest, Answer>(
  options: UpstreamTextsOptions,
  fieldsOf: (request: Request) => object,
  readAnswer: ReadAnswer<Answer>,
): (request: Request, signal: AbortSignal) => Promise<Answer> {
  const { name, dispatcher, path, headers, model, status, onOutcome } = options;
  const ask = async (request: Request, signal: AbortSignal): Promise<Answer> => {
    const { id, requestId = id, inputs, fields, traceContext } = request;
    const body = JSON.stringify({ ...(fields ?? fieldsOf(request)), model });
    const send = () =>
      dispatcher.request({ path, method: 'POST', headers: requestHeaders(headers, requestId, traceContext?.()), body, signal });
    const sentAtMs = performance.now();
    const response = await send().catch((error: Error) => {
      if (isStaleConnection(error, performance.now() - sentAtMs)) return send();
      throw error;
    });
    const text = await readBoundedAnswer(name, response.body, answerBytesMax);
    const retryAfter = response.headers['retry-after'];
    if (response.statusCode !== 200)
      throw errorOfStatus(name, response.statusCode, text, typeof retryAfter === 'string' ? retryAfter : undefined);
    const answer = parse(name, text);
    if (isErrorAnswer(answer)) throw errorOfEvent(name, text);
    return readAnswer(answer, inputs.length);
  };
  return async (request, signal) => {
    signal.throwIfAborted();
    if (status().state === 'closed') throw new AutoglmError('engine_unavailable', `The engine ${name} was closed.`);
    try {
      const answer = await ask(request, signal);
      onOutcome(undefined);
      return answer;
    } catch (thrown) {
      if (signal.aborted) throw signal.reason;
      const error = errorOfConnection(name, thrown as Error);
      onOutcome(error);
      throw error;
    }
  };
}

/**
 * The entries of `data`, each at the place that its `index` says. Throws `upstream_error` where they are not as many as were asked for,
 * one is no object, or one place is had twice.
 */
export function inPlaces<Entry extends object, Answer>(
  name: string,
  what: string,
  data: unknown,
  count: number,
  read: (entry: Entry) => Answer,
): readonly Answer[] {
  if (!Array.isArray(data) || data.length !== count) throw wrongAnswer(name, `did not answer with ${count} ${what}`);
  const answers: Answer[] = [];
  for (const [place, entry] of (data as unknown[]).entries()) {
    if (!isObject(entry)) throw wrongAnswer(name, `sent ${what} that are none`);
    const index = entry['index'] ?? place;
    if (!isCount(index) || index >= count || answers[index] !== undefined) throw wrongAnswer(name, `numbered its ${what} wrongly`);
    answers[index] = read(entry as Entry);
  }
  return answers;
}

/** 0: it does not say, or nothing that makes sense. */
export function promptTokensOf({ usage }: Readonly<Record<string, unknown>>): number {
  const { prompt_tokens: promptTokens, total_tokens: totalTokens } = (usage ?? {}) as {
    readonly prompt_tokens?: unknown;
    readonly total_tokens?: unknown;
  };
  return [promptTokens, totalTokens].find(isCount) ?? 0;
}

export function wrongAnswer(name: string, what: string, cause?: unknown): AutoglmError {
  return new AutoglmError('upstream_error', `The engine ${name} ${what}.`, { cause });
}

function parse(name: string, text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : {};
  } catch (cause) {
    throw wrongAnswer(name, 'did not answer with JSON', cause);
  }
}
