import { EventSourceParserStream } from 'eventsource-parser/stream';
import { messageOf, UserError } from '../failure.ts';

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

interface Chunk {
  readonly choices?: readonly { readonly delta?: { readonly content?: string | null } }[];
  readonly usage?: { readonly completion_tokens: number } | null;
  readonly error?: { readonly message: string };
}

/**
 * Asks an OpenAI-compatible server and yields the answer as it comes. An abort ends it without an error.
 * Throws `UserError` with the server's own message, or with what keeps the server from being reached.
 */
export async function* streamChat({ url, apiKey }: ChatAddress, settings: ChatSettings, turns: readonly ChatTurn[], signal: AbortSignal): AsyncGenerator<ChatPart> {
  try {
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }) },
      body: JSON.stringify({ ...settings, messages: turns, stream: true, stream_options: { include_usage: true } }),
      signal,
    });
    if (!response.ok || !response.body) throw new UserError(await refusal(response));
    for await (const { data } of response.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())) {
      if (data === '[DONE]') return;
      const chunk = JSON.parse(data) as Chunk;
      if (chunk.error) throw new UserError(chunk.error.message);
      yield { text: chunk.choices?.[0]?.delta?.content ?? '', completionTokens: chunk.usage?.completion_tokens };
    }
    throw new UserError('The connection was lost; the answer is incomplete.');
  } catch (error) {
    if (signal.aborted) return;
    throw explain(error, url);
  }
}

async function refusal(response: Response): Promise<string> {
  const body = await response.text();
  try {
    const { message } = (JSON.parse(body) as Required<Chunk>).error;
    return response.status === 401 ? `${message} Put it into AUTOGLM_API_KEY.` : message;
  } catch {
    return `The server answered with status ${response.status}; is ${new URL(response.url).origin} an OpenAI-compatible server?`;
  }
}

function explain(error: unknown, url: string): unknown {
  if (error instanceof SyntaxError) return new UserError(`The server at ${url} sent what is not JSON.`);
  // `fetch` wraps what happened to the connection.
  if (!(error instanceof TypeError)) return error;
  const { cause } = error as { readonly cause?: NodeJS.ErrnoException };
  if (cause?.code === 'ECONNREFUSED') return new UserError(`No server answers at ${url}. Start one with: autoglm serve`);
  if (cause?.code === 'UND_ERR_SOCKET' || cause?.code === 'ECONNRESET') return new UserError('The connection was lost; the answer is incomplete.');
  return new UserError(`The server at ${url} cannot be reached: ${messageOf(cause ?? error)}`);
}
