import { messageOf, UserError } from '../failure.ts';
import { tryParseRecord } from '../replay/formats/fields.ts';
import { AnswerReader, saidError } from '../replay/generator/answer-reader.ts';
import { harmless } from '../replay/report/text.ts';

/** Whom to ask. */
export interface ChatAddress {
  readonly url: string;
  /** Where it wants one. */
  readonly apiKey: string | undefined;
}

export interface ChatTurn {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** What is asked with every request; what is undefined is the server's to choose. */
export interface ChatSettings {
  readonly model: string;
  readonly temperature: number | undefined;
  readonly top_p: number | undefined;
  readonly max_tokens: number | undefined;
  readonly seed: number | undefined;
}

export interface ChatPart {
  readonly text: string;
  /** Known with the last part, where the server counts. */
  readonly completionTokens: number | undefined;
}

/**
 * Asks an OpenAI-compatible server and yields the answer as it comes. An abort ends it without an error.
 * Throws `UserError` with the server's own message, or with what keeps the server from being reached.
 */
export async function* streamChat(
  { url, apiKey }: ChatAddress,
  settings: ChatSettings,
  turns: readonly ChatTurn[],
  signal: AbortSignal,
): AsyncGenerator<ChatPart> {
  try {
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }) },
      body: JSON.stringify({ ...settings, messages: turns, stream: true, stream_options: { include_usage: true } }),
      signal,
    });
    if (!response.ok || !response.body) throw new UserError(await refusal(response));
    const reader = new AnswerReader(true);
    for await (const piece of response.body) {
      const { length } = reader.text;
      reader.push(piece, 0);
      yield { text: reader.text.slice(length), completionTokens: reader.completionTokens };
      if (reader.error !== undefined)
        throw new UserError(harmless(reader.errorSaid ?? `The server at ${url} sent no answer: ${reader.error}.`));
      if (reader.isDone) return;
    }
    if (!reader.isWhole) throw new UserError(lost(response));
  } catch (error) {
    if (signal.aborted) return;
    throw explain(error, url);
  }
}

async function refusal(response: Response): Promise<string> {
  const message = saidError(tryParseRecord(await response.text()) ?? {});
  if (message === undefined)
    return `The server answered with status ${response.status}; is ${new URL(response.url).origin} an OpenAI-compatible server?`;
  return response.status === 401 ? `${harmless(message)} Put it into AUTOGLM_API_KEY.` : harmless(message);
}

/** What came was no answer to its end, or none at all. */
function lost({ headers, url }: Response): string {
  const type = headers.get('content-type') ?? 'no content type';
  if (type.startsWith('text/event-stream')) return incomplete;
  return `The server sent no event stream, but ${type}; is ${new URL(url).origin} an OpenAI-compatible server?`;
}

const incomplete = 'The connection was lost; the answer is incomplete.';

function explain(error: unknown, url: string): unknown {
  // `fetch` wraps what happened to the connection.
  if (!(error instanceof TypeError)) return error;
  const { cause } = error as { readonly cause?: NodeJS.ErrnoException };
  if (cause?.code === 'ECONNREFUSED') return new UserError(`No server answers at ${url}. Start one with: autoglm serve`);
  if (cause?.code === 'UND_ERR_SOCKET' || cause?.code === 'ECONNRESET') return new UserError(incomplete);
  return new UserError(`The server at ${url} cannot be reached: ${messageOf(cause ?? error)}`);
}
